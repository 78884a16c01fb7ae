-- wrk: posts the files in turn, and prints the answers that had status 200.
--   wrk ... -s post.lua URL -- FORM FILES...
-- FORM is raw, for the image as the body; v2, for a tensor of the Open Inference Protocol; or the name of the image's
-- part in a form.

local threads, requests, next_request = {}, {}, 0
answered, others = 0, 0

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local form = arguments[1]
  for i = 2, #arguments do
    local file = assert(io.open(arguments[i], "rb"))
    local body, kind = file:read("*a"), "image/jpeg"
    file:close()
    if arguments[i]:match("%.png$") then kind = "image/png" end
    local headers = {}
    if form == "v2" then
      local size = #body
      local length = string.char(size % 256, math.floor(size / 256) % 256, math.floor(size / 65536) % 256, 0)
      local head = string.format('{"inputs":[{"name":"image","shape":[1,1],"datatype":"BYTES",'
        .. '"parameters":{"binary_data_size":%d}}]}', size + 4)
      body, kind = head .. length .. body, "application/octet-stream"
      headers["inference-header-content-length"] = tostring(#head)
    elseif form ~= "raw" then
      local disposition = 'form-data; name="' .. form .. '"; filename="image"'
      body = "--boundary7d1\r\ncontent-disposition: " .. disposition .. "\r\ncontent-type: " .. kind .. "\r\n\r\n"
        .. body .. "\r\n--boundary7d1--\r\n"
      kind = "multipart/form-data; boundary=boundary7d1"
    end
    headers["content-type"] = kind
    table.insert(requests, wrk.format("POST", nil, headers, body))
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function response(status)
  if status == 200 then answered = answered + 1 else others = others + 1 end
end

function done(summary, latency)
  local good, bad = 0, 0
  for _, thread in ipairs(threads) do
    good, bad = good + thread:get("answered"), bad + thread:get("others")
  end
  local errors = summary.errors
  io.write(string.format(
    '\n{"per_second": %.3f, "answered": %d, "others": %d, "errors": %d, "p50": %.3f, "p99": %.3f}\n',
    good / (summary.duration / 1e6), good, bad, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
