//! `hardnet serve`.

use crate::support::Folder;

#[cfg(not(feature = "serve"))]
#[test]
fn serve_says_how_to_build_it_where_it_is_not_part_of_the_build() {
    let folder = Folder::new();
    for arguments in ["serve", "serve --weights a.safetensors", "serve a.pth b=c.pth --listen 0.0.0.0:80"] {
        folder.run(arguments).exits(2).says("this build has no server").says("--features serve");
    }
}

#[cfg(all(unix, feature = "serve"))]
mod built {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use serde_json::Value;

    use super::Folder;
    use crate::support::picture_png;

    const DEMO: &str = "hardnet39ds.fashion_mnist";

    /// A server that is killed when a test fails.
    struct Served {
        child: Child,
        address: String,
        /// The address of gRPC, if there is one.
        grpc: Option<String>,
    }

    impl Drop for Served {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    impl Served {
        fn start(folder: &Folder, arguments: &str) -> Self {
            let served = Self::start_loading(folder, arguments, &[]);
            let start = Instant::now();
            while served.send("GET", "/v2/health/ready", "", b"").0 != 200 {
                assert!(start.elapsed() < Duration::from_secs(120), "the server becomes ready");
                std::thread::sleep(Duration::from_millis(20));
            }
            served
        }

        /// A server that listens.
        fn start_loading(folder: &Folder, arguments: &str, environment: &[(&str, &str)]) -> Self {
            let mut command = folder.command(&format!("serve --listen 127.0.0.1:0 {arguments}"));
            command.envs(environment.iter().copied());
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut address = |scheme: &str| {
                let line = lines.next().unwrap().unwrap();
                line.strip_prefix(&format!("listening on {scheme}://")).expect(&line).to_owned()
            };
            let (address, grpc) = (address("http"), arguments.contains("--grpc-listen").then(|| address("grpc")));
            Self { child, address, grpc }
        }

        fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
            let (status, body) = self.send_raw(method, path, headers, body);
            (status, String::from_utf8(body).unwrap())
        }

        fn send_raw(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
            let mut stream = TcpStream::connect(&self.address).unwrap();
            let length = body.len();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
            );
            stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
            let mut response = Vec::new();
            stream.read_to_end(&mut response).unwrap();
            let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
            let head = String::from_utf8_lossy(&response[..end]);
            (head.split(' ').nth(1).unwrap().parse().unwrap(), response[end + 4..].to_vec())
        }

        /// Sends SIGTERM. Returns the exit code and standard error.
        fn terminate(mut self) -> (Option<i32>, String) {
            let killed = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
            assert!(killed.success());
            let mut stderr = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            (self.child.wait().unwrap().code(), stderr)
        }
    }

    #[test]
    fn an_answer_is_that_of_predict_and_sigterm_ends_the_server() {
        let folder = Folder::new();
        folder.write("a.png", picture_png());
        folder.write("key", "secret\n");
        let served = Served::start(&folder, &format!("{DEMO} int8={DEMO} --embed --api-key-file key"));
        assert_eq!(served.send("GET", "/v2", "", b"").0, 401);
        let headers = "authorization: Bearer secret\r\ncontent-type: image/png\r\n";
        let (status, body) = served.send("POST", "/classify?logits=true", headers, &picture_png());
        assert_eq!(status, 200, "{body}");
        let found: Value = serde_json::from_str(&body).unwrap();
        let predicted =
            folder.run(&format!("predict --weights {DEMO} --batch-size 1 --batch-invariant --logits a.png")).exits(0);
        let expected = &predicted.json_lines()[0];
        assert_eq!(found["model"], DEMO);
        assert_eq!(found["images"][0]["logits"], expected["logits"]);
        assert_eq!(found["images"][0]["top"], expected["top"]);
        assert_eq!(served.send("POST", "/embed?model=int8", headers, &picture_png()).0, 200);
        let (code, stderr) = served.terminate();
        assert_eq!(code, Some(0), "{stderr}");
        let lines: Vec<Value> = stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert!(lines.iter().any(|line| line["path"] == "/classify" && line["status"] == 200), "{stderr}");
    }

    #[test]
    fn sigterm_ends_a_server_that_loads_a_model() {
        let folder = Folder::new();
        // A hub that never answers.
        let hub = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", hub.local_addr().unwrap());
        let environment = [("HF_ENDPOINT", &*endpoint), ("HF_HUB_OFFLINE", "0")];
        let served = Served::start_loading(&folder, "hf://owner/model", &environment);
        let _asked = hub.accept().unwrap();
        assert_eq!(served.send("GET", "/v2/models/model/ready", "", b"").0, 503);
        let (code, stderr) = served.terminate();
        assert_eq!(code, Some(0), "{stderr}");
    }

    #[test]
    fn two_models_under_load_one_of_integers_answer_what_predict_prints() {
        const IMAGES: u8 = 6;
        let folder = Folder::new();
        folder.pictures("images", IMAGES);
        folder.run(&format!("quantize {DEMO} int8.safetensors")).exits(0);
        let predict = |weights: &str| {
            let command = format!("predict --weights {weights} --batch-size 1 --batch-invariant --logits images");
            folder.run(&command).exits(0).json_lines()
        };
        let expected = [("int8", predict("int8.safetensors")), (DEMO, predict(DEMO))];
        assert_ne!(expected[0].1[0]["logits"], expected[1].1[0]["logits"], "the models differ");
        let served = Served::start(&folder, &format!("int8.safetensors {DEMO}"));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (served, folder, expected) = (&served, &folder, &expected);
                scope.spawn(move || {
                    for round in 0..3 * usize::from(IMAGES) {
                        let (model, lines) = &expected[(thread + round) % 2];
                        let line = &lines[(thread + round / 2) % lines.len()];
                        let image = std::fs::read(folder.path(line["path"].as_str().unwrap())).unwrap();
                        let path = format!("/classify?logits=true&model={model}");
                        let (status, body) = served.send("POST", &path, "content-type: image/png\r\n", &image);
                        assert_eq!(status, 200, "{body}");
                        let found: Value = serde_json::from_str(&body).unwrap();
                        assert_eq!(found["model"], *model);
                        assert_eq!(found["images"][0]["logits"], line["logits"], "{model} {}", line["path"]);
                    }
                });
            }
        });
        let metrics = served.send("GET", "/metrics", "", b"").1;
        for model in ["int8", DEMO] {
            let line = format!("hardnet_images_total{{model=\"{model}\",output=\"classes\",outcome=\"answered\"}} 36");
            assert!(metrics.lines().any(|found| found == line), "{metrics}");
        }
        assert_eq!(served.terminate().0, Some(0));
    }

    #[test]
    fn a_segmentation_network_answers_what_segment_writes() {
        let folder = Folder::new();
        crate::segment::scenes_weights(&folder);
        crate::segment::draw_scenes(&folder, 2);
        folder.run("segment --weights scenes.safetensors -o out --format colors images").exits(0);
        let served = Served::start(&folder, &format!("scenes.safetensors {DEMO}"));
        for name in ["0", "1"] {
            let image = std::fs::read(folder.path(&format!("images/{name}.png"))).unwrap();
            let (status, png) = served.send_raw("POST", "/segment", "accept: image/png\r\n", &image);
            assert_eq!(status, 200);
            assert_eq!(png, std::fs::read(folder.path(&format!("out/{name}_colors.png"))).unwrap());
        }
        assert_eq!(served.send("POST", "/classify", "", b"x").0, 404);
        assert_eq!(served.send("POST", &format!("/segment?model={DEMO}"), "", b"x").0, 404);
        assert_eq!(served.terminate().0, Some(0));
        folder.run(&format!("serve {DEMO} --flip")).exits(2).says("are for segmentation networks");
        folder.run("serve scenes.safetensors --embed --listen 127.0.0.1:0").exits(2).says("--embed is for classifiers");
    }

    #[test]
    fn grpc_has_an_address_of_its_own() {
        let folder = Folder::new();
        let served = Served::start(&folder, &format!("{DEMO} --grpc-listen 127.0.0.1:0"));
        let mut stream = TcpStream::connect(served.grpc.as_ref().unwrap()).unwrap();
        // The preface of HTTP/2 and no settings; the server answers with its own.
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[3], 4, "a frame of settings");
        assert_eq!(served.terminate().0, Some(0));
    }

    #[test]
    fn wrong_arguments_are_told_before_anything_is_loaded() {
        let folder = Folder::new();
        folder.run("serve").exits(2).says("no weights given").says("hint: pass weights");
        folder.run("serve a/x.pth b/x.pth").exits(2).says("two models are called `x`").says("NAME=WEIGHTS");
        let missing = folder.run("serve hardnet68").exits(2).says("cannot read weights").says("is a network");
        assert_eq!(missing.stdout, "", "it does not listen");
        folder.run(&format!("serve {DEMO} --engine candle")).exits(2).says("native engine");
        folder.run(&format!("serve {DEMO} --api-key-file none")).exits(2).says("cannot read `none`");
        for pixels in ["0", "many"] {
            folder.run(&format!("serve {DEMO} --max-pixels {pixels}")).exits(2).says("expected a whole number from 1");
        }
        folder.run(&format!("serve {DEMO} --tls-cert a.pem")).exits(2).says("--tls-key");
        folder.write("a.pem", "no certificate");
        folder
            .run(&format!("serve {DEMO} --tls-cert a.pem --tls-key a.pem"))
            .exits(2)
            .says("`a.pem`: no certificate in PEM");
        folder.run(&format!("serve {DEMO} --tls-cert none --tls-key a.pem")).exits(2).says("cannot read `none`");
        folder.run(&format!("serve {DEMO} --listen 192.0.2.1:1")).exits(2).says("cannot listen on `192.0.2.1:1`");
    }
}
