//! Lending: a borrowed function, callable from closures that may borrow nothing.
//!
//! An interpreter keeps the functions that a script can call for its whole life, so they must be
//! `'static`; what they reach during one run (a session, locked shards) is borrowed for that run
//! only. A [`Lent`] joins the two: [`Lent::lend`] puts the borrowed function into the slot, runs
//! a body, and takes it out again whatever happens; [`Lent::call`] calls what is in the slot. The
//! interpreter's own way of doing this costs 0.8 us a run and as much again for each call.
//!
//! The invariant behind the one unsafe block: the slot holds a pointer only while the `lend` that
//! put it there is on the stack, and with it the borrow. The guard that takes it out lives on that
//! stack too and cannot be leaked. While the function runs it is out of the slot, so it is never
//! borrowed twice. `Cell` keeps it on one thread.
//!
//! Neighbours: `pannier_script` has one slot a thread. Tests at the bottom.

use std::cell::Cell;
use std::ptr::NonNull;

type Pointer<M> = NonNull<dyn FnMut(&mut M)>;

/// A slot for a borrowed function. See the module's header.
pub struct Lent<M: 'static> {
    slot: Cell<Option<Pointer<M>>>,
}

/// Puts the slot's earlier content back.
struct Restore<'a, M: 'static> {
    slot: &'a Cell<Option<Pointer<M>>>,
    earlier: Option<Pointer<M>>,
}

impl<M: 'static> Drop for Restore<'_, M> {
    fn drop(&mut self) {
        self.slot.set(self.earlier);
    }
}

impl<M: 'static> Lent<M> {
    /// An empty slot.
    pub const fn new() -> Self {
        Self { slot: Cell::new(None) }
    }

    /// Runs `body`; meanwhile [`Lent::call`] on this slot calls `function`.
    pub fn lend<R>(&self, function: &mut dyn FnMut(&mut M), body: impl FnOnce() -> R) -> R {
        let short: NonNull<dyn FnMut(&mut M) + '_> = NonNull::from(function);
        // SAFETY: only the lifetime changes. The pointer leaves the slot before `function`'s
        // borrow ends: `_restore` is dropped when this call returns or unwinds.
        let pointer: Pointer<M> = unsafe { std::mem::transmute(short) };
        let _restore = Restore { slot: &self.slot, earlier: self.slot.replace(Some(pointer)) };
        body()
    }

    /// Calls the function that is lent; false when there is none, or when it is running already.
    pub fn call(&self, message: &mut M) -> bool {
        let Some(mut pointer) = self.slot.take() else { return false };
        let _restore = Restore { slot: &self.slot, earlier: Some(pointer) };
        // SAFETY: the slot held it, so the `lend` that put it there is on the stack and its
        // borrow alive; it is out of the slot while it runs, so nobody else has it.
        let function = unsafe { pointer.as_mut() };
        function(message);
        true
    }
}

impl<M: 'static> Default for Lent<M> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Lent;

    #[test]
    fn what_is_lent_is_called_and_only_then() {
        let slot = Lent::<u32>::new();
        let mut total = 0;
        let mut message = 5;
        assert!(!slot.call(&mut message));
        let mut add = |n: &mut u32| {
            total += *n;
            *n += 1;
        };
        let body = || assert!(slot.call(&mut message) && slot.call(&mut message));
        slot.lend(&mut add, body);
        assert_eq!((total, message), (11, 7));
        assert!(!slot.call(&mut message));
    }

    #[test]
    fn a_running_function_is_not_called_again() {
        let slot = Lent::<u32>::new();
        let mut inner = true;
        let mut function = |n: &mut u32| inner = slot.call(n);
        assert!(slot.lend(&mut function, || slot.call(&mut 1)));
        assert!(!inner);
    }

    #[test]
    fn a_panic_takes_it_out_and_lending_nests() {
        let slot = Lent::<u32>::new();
        let (mut outer, mut inner) = (|n: &mut u32| *n = 1, |n: &mut u32| *n = 2);
        slot.lend(&mut outer, || {
            let run = || slot.lend(&mut inner, || -> u32 { panic!("within") });
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            assert!(caught.is_err());
            let mut n = 0;
            assert!(slot.call(&mut n));
            assert_eq!(n, 1);
        });
        assert!(!slot.call(&mut 0));
    }
}
