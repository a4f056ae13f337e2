//! What mainstay cannot see: how every id of a made-up world really came to be.

use std::collections::HashMap;

/// How an id came to be after another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A promotion, or a process that changed its own id.
    True(u32),
    /// A start as master from a file.
    File(u32),
}

/// See the module.
#[derive(Default)]
pub struct Truth(HashMap<u32, Origin>);

impl Truth {
    /// `id` began.
    pub fn learn(&mut self, id: u32, origin: Origin) {
        self.0.insert(id, origin);
    }

    /// An unbroken line of promotions leads from `ancestor` to `id`.
    pub fn continues(&self, mut id: u32, ancestor: u32) -> bool {
        while let Some(Origin::True(parent)) = self.0.get(&id) {
            if *parent == ancestor {
                return true;
            }
            id = *parent;
        }
        false
    }

    /// `id` is a history that the last primary came from, or one that began there, in a file or by another promotion.
    pub fn is_of_the_past(&self, id: u32, last: u32) -> bool {
        let parent = self.0.get(&id).map(|(Origin::True(parent) | Origin::File(parent))| *parent);
        self.continues(last, id) || parent.is_some_and(|parent| self.continues(last, parent))
    }
}
