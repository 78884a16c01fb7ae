//! Behaviors of Candle 0.11.1 that this project works around: the claims of `docs/candle-upstream.md`. A failure
//! here means that Candle has changed, and that what works around it may go.

use candle_core::{Device, Result, Tensor, Var};

/// The gradient of the sum of `f(x)`.
fn gradient(x: &Var, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<f32>> {
    let gradients = f(x.as_tensor())?.sum_all()?.backward()?;
    gradients.get(x).expect("a leaf has a gradient").flatten_all()?.to_vec1()
}

fn image(values: &[f32], height: usize, width: usize) -> Var {
    Var::from_tensor(&Tensor::from_slice(values, (1, 1, height, width), &Device::Cpu).unwrap()).unwrap()
}

#[test]
fn the_maximum_of_a_window_gets_a_quarter_of_its_gradient() {
    let pool = |x: &Tensor| x.max_pool2d(2);
    assert_eq!(gradient(&image(&[1.0, 2.0, 3.0, 4.0], 2, 2), pool).unwrap(), [0.0, 0.0, 0.0, 0.25]);
    assert_eq!(gradient(&image(&[1.0; 4], 2, 2), pool).unwrap(), [1.0; 4]);
}

#[test]
fn overlapping_pools_have_no_gradient() {
    let x = image(&[1.0; 25], 5, 5);
    for error in [
        gradient(&x, |x| x.max_pool2d_with_stride(3, 2)).unwrap_err(),
        gradient(&x, |x| x.avg_pool2d_with_stride(3, 2)).unwrap_err(),
    ] {
        assert!(error.to_string().contains("not supported"), "{error}");
    }
}

#[test]
fn strided_convolutions_of_oblong_images_may_have_no_gradient() {
    let kernel = Tensor::ones((1, 1, 3, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    let conv = |x: &Tensor| x.conv2d(&kernel, 1, 2, 1, 1);
    assert!(gradient(&image(&[1.0; 25], 5, 5), conv).is_ok());
    assert!(gradient(&image(&[1.0; 40], 5, 8), conv).is_err());
}
