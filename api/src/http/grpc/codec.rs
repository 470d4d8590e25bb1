//! Messages from and to bytes.

use std::marker::PhantomData;

use bytes::{Buf, BufMut};
use prost::Message;
use tonic::{
    Status,
    codec::{DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::{page::Page, records::Raw, status::to_status};
use crate::problem::{Code, Problem};

/// A message that comes in.
pub trait Ask: Sized + Send + 'static {
    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// They are not such a message.
    fn decode(bytes: &mut DecodeBuf<'_>) -> Result<Self, Problem>;
}

/// A message that goes out.
pub trait Reply: Send + 'static {
    /// Writes it.
    fn encode(self, into: &mut EncodeBuf<'_>);
}

impl<M: Message + Default + 'static> Ask for M {
    fn decode(bytes: &mut DecodeBuf<'_>) -> Result<Self, Problem> {
        M::decode(bytes).map_err(|error| malformed(&error.to_string()))
    }
}

impl Ask for Raw {
    fn decode(bytes: &mut DecodeBuf<'_>) -> Result<Self, Problem> {
        Ok(Self(bytes.copy_to_bytes(bytes.remaining())))
    }
}

impl<M: Message + 'static> Reply for M {
    fn encode(self, into: &mut EncodeBuf<'_>) {
        self.encode_raw(into);
    }
}

impl<M: Message + 'static> Reply for Page<M> {
    fn encode(self, into: &mut EncodeBuf<'_>) {
        into.reserve(self.records.len());
        into.put_slice(&self.records);
        self.rest.encode_raw(into);
    }
}

/// What a message that cannot be read is told.
pub fn malformed(why: &str) -> Problem {
    Problem::new(
        Code::InvalidRequest,
        format!("the message cannot be read: {why}"),
    )
}

/// Replies of one kind, and asks of another.
pub struct Codec<R, A>(PhantomData<(R, A)>);

impl<R, A> Default for Codec<R, A> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R: Reply, A: Ask> tonic::codec::Codec for Codec<R, A> {
    type Encode = R;
    type Decode = A;
    type Encoder = Writer<R>;
    type Decoder = Reader<A>;

    fn encoder(&mut self) -> Writer<R> {
        Writer(PhantomData)
    }

    fn decoder(&mut self) -> Reader<A> {
        Reader(PhantomData)
    }
}

/// Writes replies.
pub struct Writer<R>(PhantomData<R>);

impl<R: Reply> Encoder for Writer<R> {
    type Item = R;
    type Error = Status;

    fn encode(&mut self, reply: R, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        reply.encode(into);
        Ok(())
    }
}

/// Reads asks.
pub struct Reader<A>(PhantomData<A>);

impl<A: Ask> Decoder for Reader<A> {
    type Item = A;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<A>, Status> {
        A::decode(bytes)
            .map(Some)
            .map_err(|problem| to_status(&problem, ""))
    }
}
