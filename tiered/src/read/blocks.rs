//! Blocks of objects: from the cache, from a request that is under way, or by a new one.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::options::ColdReaderOptions;
use super::slab::{Slab, Slot};
use super::stats::Counters;
use crate::error::StoreError;
use crate::format::BLOCK_BYTES;
use crate::segment_ref::SegmentRef;
use crate::store::Store;

/// Adjacent blocks that one GET fetches: 4 MiB.
const RUN_BLOCKS: u32 = 16;
pub(super) const RUN_BYTES: u64 = RUN_BLOCKS as u64 * BLOCK_BYTES;

/// A block of the data of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct BlockId {
    key: Arc<str>,
    number: u32,
}

/// What must be known of an object to fetch its blocks.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub key: Arc<str>,
    pub data_bytes: u64,
}

impl Object {
    pub fn of(segment: &SegmentRef) -> Self {
        Self {
            key: segment.key.as_str().into(),
            data_bytes: segment.data_bytes,
        }
    }

    fn block(&self, number: u32) -> BlockId {
        BlockId {
            key: self.key.clone(),
            number,
        }
    }

    fn bytes_of(&self, numbers: &Range<u32>) -> Range<u64> {
        let end = u64::from(numbers.end) * BLOCK_BYTES;
        u64::from(numbers.start) * BLOCK_BYTES..end.min(self.data_bytes)
    }
}

pub(super) struct Blocks {
    store: Store,
    slab: Option<Arc<Slab>>,
    flights: Mutex<HashMap<BlockId, Flight>>,
    flights_begun: AtomicU64,
    /// Bytes of runs from before they are asked for until they are in the cache.
    room: Arc<Semaphore>,
    room_bytes: usize,
    /// Room for bytes that are being written to the cache, a quarter of the whole. What comes faster than
    /// the disk takes it is not kept there: no reader waits for that disk.
    writing: Semaphore,
    recent: Mutex<Recent>,
    recent_bytes_max: usize,
    counters: Arc<Counters>,
}

/// The runs that came last stay in memory: who reads on need not ask the disk for them.
#[derive(Default)]
struct Recent {
    /// With their bytes, the oldest first.
    runs: VecDeque<(Run, usize)>,
    bytes: usize,
}

/// The blocks of one flight.
struct Run {
    object: Object,
    numbers: Range<u32>,
    flight: u64,
}

/// A run of blocks on its way, or one of those that came last.
#[derive(Clone)]
struct Flight {
    number: u64,
    first_block: u32,
    landed: watch::Receiver<Option<Result<Bytes, StoreError>>>,
}

/// Where the blocks of one read come from.
#[derive(Default)]
struct Plan {
    cached: Vec<(usize, Slot)>,
    flying: Vec<(usize, Flight)>,
}

impl Blocks {
    pub fn new(
        store: Store,
        slab: Option<Slab>,
        options: &ColdReaderOptions,
        counters: Arc<Counters>,
    ) -> Self {
        let room_bytes = options
            .in_flight_bytes_max
            .clamp(2 * RUN_BYTES as usize, u32::MAX as usize);
        Self {
            store,
            slab: slab.map(Arc::new),
            flights: Mutex::default(),
            flights_begun: AtomicU64::new(0),
            room: Arc::new(Semaphore::new(room_bytes)),
            room_bytes,
            writing: Semaphore::new((room_bytes / 4).max(RUN_BYTES as usize)),
            recent: Mutex::default(),
            recent_bytes_max: options.recent_bytes_max(),
            counters,
        }
    }

    pub fn cached_bytes(&self) -> u64 {
        self.slab.as_ref().map_or(0, |slab| slab.cached_bytes())
    }

    /// The blocks with these numbers, in order.
    pub async fn get(
        self: &Arc<Self>,
        object: &Object,
        numbers: Range<u32>,
    ) -> Result<Vec<Bytes>, StoreError> {
        let mut found: Vec<Option<Bytes>> = vec![None; numbers.len()];
        let plan = self.plan(object, &numbers, &found, true);
        self.carry_out(plan, &numbers, &mut found).await?;
        if found.iter().any(Option::is_none) {
            // Some lost their slots while they were read: the cache is too busy to be asked again.
            let plan = self.plan(object, &numbers, &found, false);
            self.carry_out(plan, &numbers, &mut found).await?;
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Begins to fetch those of the blocks that are neither here nor on their way, as long as half of
    /// the room is left to those who wait. Answers with the first that was not looked at.
    pub fn prefetch(self: &Arc<Self>, object: &Object, numbers: Range<u32>) -> u32 {
        let mut flights = self.flights.lock();
        for run in self.missing(&flights, object, numbers.clone()) {
            let bytes = object.bytes_of(&run);
            let bytes = (bytes.end - bytes.start) as u32;
            let spare = self
                .room
                .available_permits()
                .saturating_sub(self.room_bytes / 2);
            if spare < bytes as usize {
                return run.start;
            }
            let Ok(room) = self.room.clone().try_acquire_many_owned(bytes) else {
                return run.start;
            };
            self.begin(&mut flights, object, run, Some(room));
        }
        numbers.end
    }

    /// Throws a block out that is not what it should be; the next who wants it gets it from the
    /// store.
    pub fn forget(&self, object: &Object, number: u32) {
        let block = object.block(number);
        self.flights.lock().remove(&block);
        if let Some(slab) = &self.slab {
            slab.forget(&block);
        }
    }

    /// Runs of blocks that nobody has asked for.
    fn missing(
        &self,
        flights: &HashMap<BlockId, Flight>,
        object: &Object,
        numbers: Range<u32>,
    ) -> Vec<Range<u32>> {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for number in numbers {
            let block = object.block(number);
            let cached = || self.slab.as_ref().is_some_and(|slab| slab.contains(&block));
            if flights.contains_key(&block) || cached() {
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.end == number && run.len() < RUN_BLOCKS as usize => {
                    run.end += 1;
                }
                _ => runs.push(number..number + 1),
            }
        }
        runs
    }

    /// Looks for each block that is not found yet, and begins what has to be fetched.
    fn plan(
        self: &Arc<Self>,
        object: &Object,
        numbers: &Range<u32>,
        found: &[Option<Bytes>],
        ask_cache: bool,
    ) -> Plan {
        let mut plan = Plan::default();
        let mut flights = self.flights.lock();
        let mut begun_to = numbers.start;
        for (at, number) in numbers.clone().enumerate() {
            if found[at].is_some() {
                continue;
            }
            let block = object.block(number);
            if let Some(flight) = flights.get(&block) {
                let counter = match number < begun_to {
                    true => &self.counters.misses,
                    false => &self.counters.hits,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                plan.flying.push((at, flight.clone()));
                continue;
            }
            let slab = self.slab.as_ref().filter(|_| ask_cache);
            if let Some(slot) = slab.and_then(|slab| slab.find(&block)) {
                self.counters.hits.fetch_add(1, Ordering::Relaxed);
                plan.cached.push((at, slot));
                continue;
            }
            let missing = match ask_cache {
                true => self.missing(&flights, object, number..numbers.end),
                false => Vec::new(),
            };
            let run = missing.into_iter().next().unwrap_or(number..number + 1);
            begun_to = run.end;
            self.counters.misses.fetch_add(1, Ordering::Relaxed);
            let flight = self.begin(&mut flights, object, run, None);
            plan.flying.push((at, flight));
        }
        plan
    }

    async fn carry_out(
        &self,
        plan: Plan,
        numbers: &Range<u32>,
        found: &mut [Option<Bytes>],
    ) -> Result<(), StoreError> {
        if let Some(slab) = self.slab.clone().filter(|_| !plan.cached.is_empty()) {
            let slots: Vec<Slot> = plan.cached.iter().map(|(_, slot)| *slot).collect();
            let read = move || slots.into_iter().map(|slot| slab.read(slot)).collect();
            let blocks: Vec<Option<Bytes>> = tokio::task::spawn_blocking(read)
                .await
                .map_err(|_| StoreError::unavailable("reading the cache was broken off"))?;
            for ((at, _), block) in plan.cached.into_iter().zip(blocks) {
                found[at] = block;
            }
        }
        for (at, mut flight) in plan.flying {
            let landed = flight.landed.wait_for(Option::is_some).await;
            let run = match landed.as_deref() {
                Ok(Some(run)) => run.clone()?,
                _ => return Err(StoreError::unavailable("a request was broken off")),
            };
            let number = numbers.start + at as u32;
            let from = (number - flight.first_block) as usize * BLOCK_BYTES as usize;
            found[at] = Some(run.slice(from..run.len().min(from + BLOCK_BYTES as usize)));
        }
        Ok(())
    }

    /// Fetches a run, in a task of its own: who waits for it may go.
    fn begin(
        self: &Arc<Self>,
        flights: &mut HashMap<BlockId, Flight>,
        object: &Object,
        run: Range<u32>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Flight {
        let (land, landed) = watch::channel(None);
        let flight = Flight {
            number: self.flights_begun.fetch_add(1, Ordering::Relaxed),
            first_block: run.start,
            landed,
        };
        for number in run.clone() {
            flights.insert(object.block(number), flight.clone());
        }
        let leaving = Leaving {
            blocks: self.clone(),
            run: Some(Run {
                object: object.clone(),
                numbers: run.clone(),
                flight: flight.number,
            }),
        };
        let object = object.clone();
        tokio::spawn(async move {
            let blocks = &leaving.blocks;
            match blocks.fetch(&object, &run, room).await {
                Ok((bytes, room)) => {
                    let run_bytes = bytes.len();
                    land.send_replace(Some(Ok(bytes.clone())));
                    blocks.keep(object, run, bytes).await;
                    drop(room);
                    leaving.stay(run_bytes);
                }
                Err(error) => {
                    land.send_replace(Some(Err(error)));
                }
            }
        });
        flight
    }

    /// Writes a run to the cache, unless that is behind.
    async fn keep(&self, object: Object, run: Range<u32>, bytes: Bytes) {
        let (Some(slab), Ok(_turn)) = (
            self.slab.clone(),
            self.writing.try_acquire_many(bytes.len() as u32),
        ) else {
            return;
        };
        let write = move || {
            for (number, block) in run.zip(bytes.chunks(BLOCK_BYTES as usize)) {
                slab.write(object.block(number), block);
            }
        };
        // A failing disk is told by the slab.
        let _ = tokio::task::spawn_blocking(write).await;
    }

    /// Takes a run off the list of flights, but for blocks that are another one's since `forget`.
    fn take_off(&self, run: &Run) {
        let mut flights = self.flights.lock();
        for number in run.numbers.clone() {
            let block = run.object.block(number);
            if flights
                .get(&block)
                .is_some_and(|flight| flight.number == run.flight)
            {
                flights.remove(&block);
            }
        }
    }

    async fn fetch(
        &self,
        object: &Object,
        run: &Range<u32>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<(Bytes, OwnedSemaphorePermit), StoreError> {
        let bytes = object.bytes_of(run);
        let bounds = &self.store.options().foreground;
        let room = match room {
            Some(room) => room,
            None => {
                let wanted = (bytes.end - bytes.start) as u32;
                let room = self.room.clone().acquire_many_owned(wanted);
                tokio::time::timeout(bounds.total, room)
                    .await
                    .map_err(|_| StoreError::unavailable("too much is being read already"))?
                    .map_err(|_| StoreError::unavailable("reading has ended"))?
            }
        };
        let result = self.store.get_range(&object.key, bytes, bounds).await;
        let came = result.as_ref().map_or(0, |(bytes, _)| bytes.len());
        self.counters.fetched(came);
        Ok((result?.0, room))
    }
}

/// Takes a flight off the list, whatever becomes of its task.
struct Leaving {
    blocks: Arc<Blocks>,
    run: Option<Run>,
}

impl Leaving {
    /// Leaves the run on the list until others have come.
    fn stay(mut self, run_bytes: usize) {
        let Some(run) = self.run.take() else { return };
        let mut gone = Vec::new();
        {
            let mut recent = self.blocks.recent.lock();
            recent.bytes += run_bytes;
            recent.runs.push_back((run, run_bytes));
            while recent.bytes > self.blocks.recent_bytes_max
                && let Some((run, run_bytes)) = recent.runs.pop_front()
            {
                recent.bytes -= run_bytes;
                gone.push(run);
            }
        }
        for run in gone {
            self.blocks.take_off(&run);
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(run) = &self.run {
            self.blocks.take_off(run);
        }
    }
}
