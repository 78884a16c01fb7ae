//! The body of an answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame};

use super::status;
use super::stream::{NextStep, Step};

/// Messages, and trailers with the status.
#[derive(Default)]
pub(crate) enum CallBody {
    /// Neither: the headers have the status.
    #[default]
    Empty,
    Message(Bytes),
    Stream(NextStep),
    Trailers(HeaderMap),
}

impl Body for CallBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (frame, rest) = match std::mem::take(&mut *self) {
            Self::Empty => return Poll::Ready(None),
            Self::Message(message) => {
                let mut trailers = HeaderMap::new();
                status::write(None, &mut trailers);
                (Frame::data(message), Self::Trailers(trailers))
            }
            Self::Stream(mut next) => match next.as_mut().poll(context) {
                Poll::Pending => {
                    *self = Self::Stream(next);
                    return Poll::Pending;
                }
                Poll::Ready(Step::Message(message, stream)) => (Frame::data(message), Self::Stream(stream.next())),
                Poll::Ready(Step::End(trailers)) => (Frame::trailers(trailers), Self::Empty),
            },
            Self::Trailers(trailers) => (Frame::trailers(trailers), Self::Empty),
        };
        *self = rest;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }
}
