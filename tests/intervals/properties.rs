//! Any order of everything, against a model that keeps flags and copies instead of numbers, and against the truth: what a device has in
//! its table is what the page table says.

use crate::common::{Begins, Call, Device, PLACES, World, pages};
use crate::property::properties;
use crate::support::Machine;
use proptest::prelude::*;
use std::sync::OnceLock;
use tlb_shootdown::notifier::interval::{Read, ReadError, Removal, SubscribeError, Subscription};
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown::space::SpaceId;

const PAGES: u64 = 12;

#[derive(Clone, Debug)]
enum Op {
    Subscribe {
        first: u64,
        last: u64,
        sleeps: bool,
    },
    Unsubscribe(usize),
    Begin {
        first: u64,
        last: u64,
        may_sleep: bool,
    },
    End(usize),
    Read {
        of: usize,
        page: u64,
    },
    Fill(usize),
}

fn spans() -> impl Strategy<Value = (u64, u64)> {
    (0..PAGES, 0..PAGES).prop_map(|(a, b)| (a.min(b), a.max(b)))
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let any_one = 0..usize::MAX;
    let op = prop_oneof![
        3 => (spans(), prop::bool::weighted(0.2))
            .prop_map(|((first, last), sleeps)| Op::Subscribe { first, last, sleeps }),
        2 => any_one.clone().prop_map(Op::Unsubscribe),
        3 => (spans(), any::<bool>())
            .prop_map(|((first, last), may_sleep)| Op::Begin { first, last, may_sleep }),
        3 => any_one.clone().prop_map(Op::End),
        5 => (any_one.clone(), 0..PAGES).prop_map(|(of, page)| Op::Read { of, page }),
        5 => any_one.prop_map(Op::Fill),
    ];
    prop::collection::vec(op, 1..60)
}

/// One that has a place.
struct Member {
    key: u64,
    device: &'static Device,
    subscription: Subscription,
    span: (u64, u64),
    sleeps: bool,
    in_table: bool,
    leaving: bool,
    /// Its readers wait for the end of the run.
    held_off: bool,
}

struct Look {
    key: u64,
    device: &'static Device,
    read: Read,
    page: u64,
    saw: u64,
    void: bool,
}

struct Test {
    world: &'static World,
    places: [Option<Member>; PLACES],
    /// Every subscription there ever was.
    subscriptions: Vec<(u64, Subscription)>,
    running: Vec<((u64, u64), Begins)>,
    /// Whether the running ones concern anybody.
    run: bool,
    ended_runs: usize,
    looks: Vec<Look>,
    versions: [u64; PAGES as usize],
}

fn overlap(a: (u64, u64), b: (u64, u64)) -> bool {
    (a.0..=a.1).any(|page| (b.0..=b.1).contains(&page))
}

impl Test {
    fn new() -> Self {
        static SPACE: OnceLock<SpaceId> = OnceLock::new();
        let space = SPACE.get_or_init(|| Machine::new(1, true).0.new_space().id());
        Self {
            world: World::of(*space),
            places: Default::default(),
            subscriptions: Vec::new(),
            running: Vec::new(),
            run: false,
            ended_runs: 0,
            looks: Vec::new(),
            versions: [0; PAGES as usize],
        }
    }

    fn member(&mut self, key: u64) -> Option<&mut Member> {
        let mut members = self.places.iter_mut().flatten();
        members.find(|member| member.key == key && !member.leaving)
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Subscribe {
                first,
                last,
                sleeps,
            } => self.subscribe((first, last), sleeps),
            Op::Unsubscribe(index) => self.unsubscribe(index),
            Op::Begin {
                first,
                last,
                may_sleep,
            } => self.begin((first, last), may_sleep),
            Op::End(index) if !self.running.is_empty() => self.end(index % self.running.len()),
            Op::Read { of, page } => self.read(of, page),
            Op::Fill(index) if !self.looks.is_empty() => self.fill(index % self.looks.len()),
            Op::End(_) | Op::Fill(_) => {}
        }
        self.check();
    }

    fn subscribe(&mut self, span: (u64, u64), sleeps: bool) {
        let key = self.subscriptions.len() as u64;
        let device = Device::new(self.world);
        if sleeps {
            device.has_to_sleep();
        }
        let range = pages(span.0, span.1);
        let subscribed = self
            .world
            .intervals
            .subscribe(range, device, AttachKey(key));
        let Some(place) = self.places.iter_mut().find(|place| place.is_none()) else {
            assert_eq!(subscribed, Err(SubscribeError::Full));
            return;
        };
        let subscription = subscribed.expect("there is a place");
        self.subscriptions.push((key, subscription));
        let in_table = !self.run;
        let held_off = !self.running.is_empty();
        self.run |= held_off;
        *place = Some(Member {
            key,
            device,
            subscription,
            span,
            sleeps,
            in_table,
            leaving: false,
            held_off,
        });
    }

    fn unsubscribe(&mut self, index: usize) {
        if self.subscriptions.is_empty() {
            return;
        }
        let (key, subscription) = self.subscriptions[index % self.subscriptions.len()];
        let removal = self.world.intervals.unsubscribe(subscription);
        let run = self.run;
        let Some(member) = self.member(key) else {
            assert!(removal.is_err());
            return;
        };
        let stays = run && member.in_table;
        member.leaving = true;
        assert_eq!(matches!(removal, Ok(Removal::AfterRun(_))), stays);
        assert_eq!(removal == Ok(Removal::Done), !stays);
        if !stays {
            let gone = |place: &&mut Option<Member>| place.as_ref().is_some_and(|m| m.key == key);
            *self.places.iter_mut().find(gone).expect("found above") = None;
        }
        self.void(|look| look.key == key);
    }

    fn begin(&mut self, span: (u64, u64), may_sleep: bool) {
        let range = pages(span.0, span.1);
        let intervals = self.world.intervals;
        self.world.calls();
        let begun = if may_sleep {
            intervals.begin(range)
        } else {
            intervals.try_begin(range)
        };
        let mut concerned: Vec<_> = (self.places.iter_mut().flatten())
            .filter(|member| member.in_table && overlap(member.span, span))
            .collect();
        concerned.sort_by_key(|member| member.span.0);
        let mut calls = Vec::new();
        let refuses = |member: &Member| member.sleeps && !may_sleep;
        let refused = concerned.iter().position(|member| refuses(member));
        let called = refused.map_or(concerned.len(), |at| at + 1);
        calls.extend(concerned.iter().take(called).map(|m| Call::Start(m.key)));
        let ended = refused.unwrap_or(0);
        calls.extend(concerned.iter().take(ended).map(|m| Call::End(m.key)));
        assert_eq!(self.world.calls(), calls);
        assert_eq!(begun.is_err(), refused.is_some());
        self.run |= !concerned.is_empty();
        let keys: Vec<_> = concerned.iter().map(|member| member.key).collect();
        concerned
            .into_iter()
            .for_each(|member| member.held_off = true);
        self.void(|look| keys.contains(&look.key));
        match begun {
            Ok(begun) => self.running.push((span, begun)),
            Err(_) => self.ended(),
        }
    }

    /// The page table changes, and the invalidation ends.
    fn end(&mut self, index: usize) {
        let (span, started) = self.running.swap_remove(index);
        let quiet = started.wait(&mut || false).expect("all rest at once");
        for page in span.0..=span.1 {
            self.versions[page as usize] += 1;
        }
        self.check();
        drop(quiet);
        self.ended();
    }

    fn ended(&mut self) {
        if !self.running.is_empty() || !self.run {
            return;
        }
        self.run = false;
        self.ended_runs += 1;
        for place in &mut self.places {
            if let Some(member) = place {
                member.held_off = false;
                member.in_table = true;
            }
            place.take_if(|member| member.leaving);
        }
    }

    fn read(&mut self, of: usize, page: u64) {
        if self.subscriptions.is_empty() {
            return;
        }
        let (key, subscription) = self.subscriptions[of % self.subscriptions.len()];
        let read = self.world.intervals.read_begin(subscription);
        let saw = self.versions[page as usize];
        let Some(member) = self.member(key) else {
            assert_eq!(read, Err(ReadError::NotSubscribed));
            return;
        };
        assert_eq!(member.subscription, subscription);
        let blocked = matches!(read, Err(ReadError::WouldBlock(_)));
        assert_eq!(blocked, member.held_off);
        let (device, (first, last)) = (member.device, member.span);
        if let (Ok(read), true) = (read, (first..=last).contains(&page)) {
            let void = false;
            self.looks.push(Look {
                key,
                device,
                read,
                page,
                saw,
                void,
            });
        }
    }

    fn fill(&mut self, index: usize) {
        let look = &self.looks[index];
        let filled = look.device.fill(look.read, (look.key, look.page), look.saw);
        assert_eq!(filled, !look.void);
    }

    fn void(&mut self, which: impl Fn(&Look) -> bool) {
        let looks = self.looks.iter_mut().filter(|look| which(look));
        looks.for_each(|look| look.void = true);
    }

    /// Whoever is subscribed has what the page table says, or nothing.
    fn check(&self) {
        assert_eq!(self.world.wakes(), self.ended_runs);
        for member in self.places.iter().flatten() {
            for page in 0..PAGES {
                if let Some(entry) = member.device.maps(member.key, page) {
                    assert_eq!(entry, self.versions[page as usize], "stale");
                }
            }
        }
    }
}

properties! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promise_03_no_order_of_events_leaves_a_stale_entry(ops in ops()) {
        let mut test = Test::new();
        for op in ops {
            test.step(op);
        }
        while !test.running.is_empty() {
            test.step(Op::End(0));
        }
        prop_assert!(!test.run);
    }
}
