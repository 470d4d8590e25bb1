//! Random histories of one group and its coordinator, from seeds: members come, work, pause for longer
//! than their leases, come back, are replaced; topics grow and go; positions are reset; leaders die and
//! lose what was not committed. What groups promise is checked after each step.

mod checks;
mod client;
mod dice;
mod steps;
mod world;

use world::World;

const HISTORIES: u64 = 3_000;
const STEPS: usize = 150;

#[test]
fn every_history_keeps_the_promises() {
    let mut seen = world::Seen::default();
    for seed in 0..HISTORIES {
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS {
                world.step();
            }
            world.quiesce();
            world.seen
        });
        match result {
            Ok(of_one) => seen.add(&of_one),
            Err(panic) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    eprintln!("{seen:?}");
    seen.all_happened();
}
