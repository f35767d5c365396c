//! What clients do: small habits, one file each, that a client mixes by chance. Each asks once or a few times and writes
//! nothing down itself: the desk does. None knows of harm, and none judges what it is told.

mod eraser;
mod filer;
mod habit;
mod intruder;
mod labeller;
mod liar;
mod pretender;
mod reader;
mod retrier;
mod rotator;
mod tokenizer;
mod trespasser;
mod writer;

pub use habit::{Habit, Mix, draw_mix};
pub use liar::LABEL;
pub use pretender::{GHOST, LIED_MAPPING};

use crate::desk::Desk;

/// Works until the office closes.
pub async fn work(mut desk: Desk) {
    let office = desk.office.clone();
    while office.is_open() {
        desk.think().await;
        let habit = desk.chance.weighted(&office.plan.mix);
        follow(habit, &mut desk).await;
    }
}

async fn follow(habit: Habit, desk: &mut Desk) {
    match habit {
        Habit::Create => writer::create(desk).await,
        Habit::Update => writer::update(desk).await,
        Habit::Flurry => writer::flurry(desk).await,
        Habit::Replace => writer::replace(desk).await,
        Habit::Read => reader::read(desk).await,
        Habit::Label => labeller::label(desk).await,
        Habit::Delete => eraser::delete(desk).await,
        Habit::Undelete => eraser::undelete(desk).await,
        Habit::Destroy => eraser::destroy(desk).await,
        Habit::Encrypt => filer::encrypt(desk).await,
        Habit::Expand => filer::expand(desk).await,
        Habit::Tokenize => tokenizer::tokenize(desk).await,
        Habit::Detokenize => tokenizer::detokenize(desk).await,
        Habit::Epochs => rotator::look(desk).await,
        Habit::Activate => rotator::activate(desk).await,
        Habit::DestroyEpoch => rotator::destroy(desk).await,
        Habit::Trespass => trespasser::trespass(desk).await,
        Habit::Garble => intruder::garble(desk).await,
        Habit::Knock => intruder::knock(desk).await,
        Habit::Lie => liar::lie(desk).await,
        Habit::Retry => retrier::retry(desk).await,
        Habit::Insist => retrier::insist_on_anything(desk).await,
        Habit::Pretend => pretender::pretend(desk).await,
    }
}
