//! Numbers and tensors as a message.
//!
//! Four numbers of 64 bits, a byte for each gradient that says whether there is one, then the values of gradients and
//! statistics; all little-endian.

use candle_core::{Result, Tensor, Var};

/// Numbers in front of the tensors.
const NUMBERS: usize = 4;

/// The message of some numbers, gradients and statistics.
pub(super) fn encode(numbers: &[u64; NUMBERS], gradients: &[Option<Tensor>], statistics: &[Tensor]) -> Result<Vec<u8>> {
    let mut message: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    message.extend(gradients.iter().map(|gradient| u8::from(gradient.is_some())));
    for tensor in gradients.iter().flatten().chain(statistics) {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        message.reserve(4 * values.len());
        values.iter().for_each(|value| message.extend_from_slice(&value.to_le_bytes()));
    }
    Ok(message)
}

/// The content of a message whose tensors have the shapes of variables; none if its length is another.
#[allow(clippy::type_complexity)]
pub(super) fn decode(
    message: &[u8],
    gradients: &[&Var],
    statistics: &[&Var],
) -> Result<Option<([u64; NUMBERS], Vec<Option<Tensor>>, Vec<Tensor>)>> {
    let Some((numbers, rest)) = message.split_at_checked(8 * NUMBERS) else { return Ok(None) };
    let Some((present, mut rest)) = rest.split_at_checked(gradients.len()) else { return Ok(None) };
    let present = || present.iter().map(|&byte| byte != 0);
    let count = |vars: &mut dyn Iterator<Item = &&Var>| vars.map(|var| 4 * var.elem_count()).sum::<usize>();
    let bytes = count(&mut gradients.iter().zip(present()).filter(|(_, present)| *present).map(|(var, _)| var));
    if rest.len() != bytes + count(&mut statistics.iter()) {
        return Ok(None);
    }
    let mut tensor = |var: &Var| {
        let values;
        (values, rest) = rest.split_at(4 * var.elem_count());
        let values: Vec<f32> = values.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        Tensor::from_vec(values, var.shape(), var.device())
    };
    let gradients = gradients.iter().zip(present());
    let gradients = gradients.map(|(var, present)| present.then(|| tensor(var)).transpose()).collect::<Result<_>>()?;
    let statistics = statistics.iter().map(|var| tensor(var)).collect::<Result<_>>()?;
    let mut numbers = numbers.as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes));
    Ok(Some((std::array::from_fn(|_| numbers.next().unwrap_or(0)), gradients, statistics)))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let var = |values: &[f32]| Var::new(values, &Device::Cpu).unwrap();
        let (gradients, statistics) = ([var(&[1.0, f32::MIN_POSITIVE]), var(&[2.0])], [var(&[-0.0, 4.0, 5.5])]);
        let vars = || (gradients.iter().collect::<Vec<_>>(), statistics.iter().collect::<Vec<_>>());
        let (numbers, own) = ([1, u64::MAX, 3, 4], [Some(gradients[0].as_detached_tensor()), None]);
        let message = encode(&numbers, &own, &[statistics[0].as_detached_tensor()]).unwrap();
        let (found, tensors, running) = decode(&message, &vars().0, &vars().1).unwrap().unwrap();
        assert_eq!((found, tensors[1].is_none()), (numbers, true));
        assert_eq!(tensors[0].as_ref().unwrap().to_vec1::<f32>().unwrap(), [1.0, f32::MIN_POSITIVE]);
        let bits: Vec<u32> = running[0].to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
        assert_eq!(bits, [-0.0f32, 4.0, 5.5].map(f32::to_bits));
        for length in (0..message.len()).chain([message.len() + 4]) {
            let mut other = message.clone();
            other.resize(length, 0);
            assert!(decode(&other, &vars().0, &vars().1).unwrap().is_none(), "{length} bytes");
        }
    }
}
