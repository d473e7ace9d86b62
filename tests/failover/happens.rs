//! What each happening makes of the toy cluster.

use std::sync::Arc;

use mainstay::failover::{
    Boot, Event, Height, Record, above_head,
    gate::{self, Act, Ask, Content, Disk, Gate, Hrs, Me},
    step,
};

use crate::{
    mistakes::Mistake,
    system::{Happening, System},
    world::{Process, Restores, Signature, World, Write, pod},
};

impl System {
    /// A process sees the record. Nothing if it could not send what it wants to.
    pub fn sees(&self, world: &mut World, which: usize, asked: Height) -> Option<()> {
        let process = world.processes[which].clone();
        let seen = self.mistake.sees(&process.gate, &world.record, asked, &self.scope.limits());
        world.processes[which].gate = seen.gate;
        for act in seen.acts {
            match act {
                Act::Persist if !self.scope.disks => {}
                Act::Persist => world.disks[process.member] = world.processes[which].gate.disk.clone(),
                Act::Page(_) => {}
                Act::Put(next) => self.send(world, Some(process.gate.me.boot), next, seen.blind)?,
            }
        }
        Some(())
    }

    fn send(&self, world: &mut World, by: Option<Boot>, next: Record, blind: bool) -> Option<()> {
        let write = Write { by, next, blind };
        let slow = if by.is_some() { self.scope.writes > 0 } else { self.scope.slow_operators };
        if world.writes.contains(&write) {
            return Some(());
        }
        if slow && !blind && world.writes.iter().filter(|write| !write.blind).count() >= self.scope.writes {
            return None;
        }
        world.writes.push(write);
        if !slow {
            Self::arrives(world, world.writes.len() - 1);
        }
        Some(())
    }

    fn asks(&self, world: &mut World, which: usize, ask: &Ask) {
        let process = world.processes[which].clone();
        let (gate, signs) = self.mistake.decides(&process.gate, ask, &self.scope.limits());
        if !signs {
            return;
        }
        let key = gate.disk.last.as_ref().expect("what it signed").key;
        if self.scope.disks {
            world.disks[process.member] = gate.disk.clone();
        }
        world.processes[which].gate = gate;
        let signature = Signature { key, content: ask.content.what[0] };
        let place = self.place(ask.at);
        match &world.signed[place] {
            Some(first) => {
                world.wrongs.doubled |= first.content != signature.content;
            }
            None => world.signed[place] = Some(signature),
        }
        let steps = self.scope.steps;
        let height = place / steps * steps..place / steps * steps + steps;
        world.wrongs.shared |= world.signed[height].iter().flatten().any(|other| other.key != key);
    }

    /// A request arrives at the API server, which holds it against the version that its sender read.
    pub fn arrives(world: &mut World, which: usize) {
        let write = world.writes.remove(which);
        if !write.blind {
            world.wrongs.backwards |= write.next.progress() <= world.record.progress();
        }
        let begins = write.next.tenure.epoch > world.record.tenure.epoch;
        world.wrongs.reopened |=
            begins && world.record.shut.is_some() && write.next.adopted == world.record.adopted;
        world.record = write.next;
        // All others were made of the version before: they fail, and whoever sent them reads again. A blind one is
        // taken whenever it comes.
        world.writes.retain(|write| write.blind);
    }

    fn restore(&self, world: &mut World) -> Option<()> {
        world.restored = true;
        match self.scope.restores {
            Restores::Never => return None,
            Restores::Process => {
                let process = world.kept_process.take()?;
                world.processes.push(process);
            }
            Restores::Record | Restores::RecordThatAllKnow => {
                world.record = world.kept_record.take()?;
                world.writes.clear();
            }
            Restores::RecordThenAdopted => {
                let above = world.record.tenure.epoch;
                let (head, restored) = (world.head(&self.scope), world.kept_record.take()?);
                let floor = match self.mistake {
                    Mistake::AdoptsAtTheHead => head,
                    Mistake::AdoptsAWindowAboveTheHead => head.plus(self.scope.window),
                    _ => above_head(head, self.scope.window, Some(&restored)),
                };
                let adopted = Event::Adopted { above, floor, activation: world.draw(0) };
                (world.record, _) = step(&restored, adopted);
                world.writes.clear();
            }
        }
        Some(())
    }

    /// A member's pod has stopped for good, and a person says so.
    pub fn buries(&self, world: &mut World, member: usize) -> Option<()> {
        let (epoch, holder) = (world.tenure().epoch, world.record.holder()?.pod.clone());
        let uid = match self.mistake {
            Mistake::AdoptsAfterAnyPod => holder.uid.clone(),
            _ => world.pods[member].uid.clone(),
        };
        let ended = |process: &Process| process.gate.me.pod.uid == world.pods[member].uid;
        let its_own = world.pods[member].uid == holder.uid;
        if self.mistake != Mistake::AdoptsAfterAPodThatRuns {
            world.processes = world.processes.iter().filter(|process| !ended(process)).cloned().collect();
        }
        // What another pod signed of this epoch is not in its state.
        let floor = if its_own { world.signed_last(&self.scope) } else { Height(0) };
        let event = Event::AdoptedAfter { epoch, uid, floor, activation: world.draw(member) };
        let next = self.mistake.steps(&world.record, event, world.head(&self.scope));
        if next == world.record {
            return None;
        }
        self.send(world, None, next, false)
    }

    /// A process starts, and sees the record.
    pub fn boot(&self, world: &mut World) -> Option<()> {
        let (member, pod) = world.wanted()?;
        let me = Me { pod, boot: Boot(u128::from(world.next_boot)) };
        world.next_boot += 1;
        let disk = if self.scope.disks { world.disks[member].clone() } else { Disk::default() };
        let mut gate = Gate::new(me, disk);
        self.mistake.starts(&mut gate, &world.record);
        world.processes.push(Process { member, gate });
        self.sees(world, world.processes.len() - 1, Height(0))
    }

    pub fn happens(&self, world: &mut World, happening: Happening) -> Option<()> {
        match happening {
            Happening::Boot => self.boot(world)?,
            Happening::Sees(which, asked) => self.sees(world, which, asked)?,
            Happening::Asks(which, height, step, content) => {
                let at = Hrs { height, round: 0, step };
                self.asks(world, which, &Ask { at, content: Content { what: [content; 32], when: 0 } });
            }
            Happening::Stop(which) => {
                let (gate, _) = gate::step(&world.processes[which].gate, &gate::Event::Stop, &self.scope.limits());
                world.stops += 1;
                world.processes[which].gate = gate;
            }
            Happening::Foreign(which) => {
                let event = gate::Event::ForeignSignature;
                let (gate, _) = gate::step(&world.processes[which].gate, &event, &self.scope.limits());
                world.foreign += 1;
                if self.scope.disks {
                    world.disks[world.processes[which].member] = gate.disk.clone();
                }
                world.processes[which].gate = gate;
            }
            Happening::Operator(event) => {
                let next = self.mistake.steps(&world.record, event, world.head(&self.scope));
                if next == world.record {
                    return None;
                }
                self.send(world, None, next, false)?;
            }
            Happening::Buried(member) => self.buries(world, member)?,
            Happening::Arrives(which) => Self::arrives(world, which),
            Happening::Twin(member) => {
                world.twins += 1;
                world.pods[member] = Arc::new(pod(member, world.twins));
            }
            Happening::Lost(member) => {
                world.losses += 1;
                world.disks[member] = Disk::default();
            }
            Happening::Kept(member) => world.kept = Some((member, world.disks[member].clone())),
            Happening::RolledBack => {
                let (member, disk) = world.kept.take()?;
                world.losses += 1;
                world.disks[member] = disk;
            }
            Happening::KeptRecord => world.kept_record = Some(world.record.clone()),
            Happening::KeptProcess(which) => world.kept_process = Some(world.processes[which].clone()),
            Happening::Restored => self.restore(world)?,
        }
        Some(())
    }
}
