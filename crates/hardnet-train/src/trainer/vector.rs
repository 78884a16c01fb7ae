//! Gradients and statistics as one vector: the values of one tensor after those of another.

use candle_core::{CpuStorage, Result, Storage, Tensor, Var};

/// Number of values of variables.
pub(super) fn length<'a>(vars: impl IntoIterator<Item = &'a Var>) -> usize {
    vars.into_iter().map(|var| var.elem_count()).sum()
}

/// The values of gradients and statistics. A gradient that is missing has zeros, as many as its parameter has values.
pub(super) fn to_vector(parameters: &[&Var], gradients: &[Option<Tensor>], statistics: &[Tensor]) -> Result<Vec<f32>> {
    let of_statistics = statistics.iter().map(Tensor::elem_count).sum::<usize>();
    let mut values = Vec::with_capacity(length(parameters.iter().copied()) + of_statistics);
    for (parameter, gradient) in parameters.iter().zip(gradients) {
        match gradient {
            Some(gradient) => append(&mut values, gradient)?,
            None => values.resize(values.len() + parameter.elem_count(), 0.0),
        }
    }
    statistics.iter().try_for_each(|tensor| append(&mut values, tensor))?;
    Ok(values)
}

fn append(values: &mut Vec<f32>, tensor: &Tensor) -> Result<()> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(own)), Some((start, end))) => values.extend_from_slice(&own[start..end]),
        _ => values.extend(tensor.flatten_all()?.to_vec1::<f32>()?),
    }
    Ok(())
}

/// Gradients and statistics of a vector: their shapes are those of `parameters` and `running`. Gradients that are not
/// `present` are missing.
///
/// # Panics
///
/// If the vector has not as many values.
pub(super) fn from_vector(
    values: &[f32],
    parameters: &[&Var],
    present: &[bool],
    running: &[Var],
) -> Result<(Vec<Option<Tensor>>, Vec<Tensor>)> {
    let mut rest = values;
    let mut tensor = |var: &Var| {
        let own;
        (own, rest) = rest.split_at(var.elem_count());
        Tensor::from_slice(own, var.shape(), var.device())
    };
    let gradients = parameters.iter().enumerate().map(|(at, var)| {
        let gradient = tensor(var)?;
        Ok(present.get(at).is_some_and(|&is_present| is_present).then_some(gradient))
    });
    let gradients = gradients.collect::<Result<_>>()?;
    Ok((gradients, running.iter().map(tensor).collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn what_becomes_a_vector_comes_back() {
        let var = |values: &[[f32; 2]]| {
            let tensor = Tensor::from_slice(values.as_flattened(), (values.len(), 2), &Device::Cpu);
            Var::from_tensor(&tensor.unwrap()).unwrap()
        };
        let parameters = [var(&[[1.0, 2.0], [3.0, f32::MIN_POSITIVE]]), var(&[[5.0, 6.0]]), var(&[[7.0, -0.0]])];
        let running = [var(&[[8.0, -9.0]])];
        let transposed = parameters[0].t().unwrap();
        let gradients = [Some(transposed.clone()), None, Some(parameters[2].as_detached_tensor())];
        let references: Vec<&Var> = parameters.iter().collect();
        let values = to_vector(&references, &gradients, &[running[0].as_detached_tensor()]).unwrap();
        assert_eq!(values.len(), length(&parameters) + length(&running));
        let expected = [1.0, 3.0, 2.0, f32::MIN_POSITIVE, 0.0, 0.0, 7.0, -0.0, 8.0, -9.0];
        assert_eq!(values.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), expected.map(f32::to_bits));
        let (found, statistics) = from_vector(&values, &references, &[true, false, true], &running).unwrap();
        let rows = |tensor: &Tensor| tensor.to_vec2::<f32>().unwrap();
        assert_eq!(rows(found[0].as_ref().unwrap()), rows(&transposed));
        assert!(found[1].is_none());
        assert_eq!(rows(found[2].as_ref().unwrap()), [[7.0, 0.0]]);
        assert_eq!(rows(&statistics[0]), [[8.0, -9.0]]);
    }
}
