//! A part of a batch whose parts are threads of a test.

use std::sync::{Arc, Barrier, Mutex};

use hardnet_kernels::training::{BatchPart, Stopped};

#[derive(Debug)]
pub(crate) struct Part {
    number: usize,
    images: usize,
    exchange: Arc<Exchange>,
}

#[derive(Debug)]
struct Exchange {
    barrier: Barrier,
    given: Mutex<Vec<Vec<f64>>>,
}

impl Part {
    /// The parts of a batch of `images` images, each for a thread.
    pub(crate) fn of_batch(count: usize, images: usize) -> Vec<Arc<Self>> {
        let exchange = Exchange { barrier: Barrier::new(count), given: Mutex::new(vec![Vec::new(); count]) };
        let exchange = Arc::new(exchange);
        (0..count).map(|number| Arc::new(Self { number, images, exchange: Arc::clone(&exchange) })).collect()
    }
}

impl BatchPart for Part {
    fn images(&self) -> usize {
        self.images
    }

    fn all_reduce(&self, values: &mut [f64]) -> Result<(), Stopped> {
        let Exchange { barrier, given } = &*self.exchange;
        given.lock().unwrap()[self.number] = values.to_vec();
        barrier.wait();
        values.fill(0.0);
        for given in given.lock().unwrap().iter() {
            assert_eq!(given.len(), values.len(), "all parts give as many values");
            values.iter_mut().zip(given).for_each(|(sum, value)| *sum += value);
        }
        barrier.wait();
        Ok(())
    }

    fn updates_running_statistics(&self) -> bool {
        self.number == 0
    }
}
