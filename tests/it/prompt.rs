//! Values that are asked for on a terminal: what is typed, what is seen, and how the terminal is left behind.

use crate::support::Terminal;

/// Has a value be asked for. No vault is there: nothing is to be sent.
fn asked() -> Terminal {
    let variables = [("COVAULT_URL", "http://127.0.0.1:1"), ("COVAULT_TOKEN", "t")];
    let terminal = Terminal::run(&["secret", "create", "db"], &variables);
    terminal.until_asked("Value: ");
    terminal
}

#[test]
fn a_terminal_is_as_it_was_after_ctrl_c_at_a_question() {
    let mut terminal = asked();
    terminal.types("half of it\u{3}");
    terminal.until("ended ");
    assert!(terminal.is_as_usual(), "{}", terminal.seen());
    terminal.until("ended 1\r\n");
    assert!(terminal.seen().contains("(interrupted)"), "{}", terminal.seen());
    assert!(!terminal.seen().contains("half"), "{}", terminal.seen());
}

#[test]
fn a_terminal_is_as_it_was_after_a_question_that_was_ended_from_outside() {
    let terminal = asked();
    terminal.ask_to_stop();
    terminal.until("ended ");
    assert!(terminal.is_as_usual(), "{}", terminal.seen());
    terminal.until("ended 1\r\n");
}

#[test]
fn what_is_typed_twice_is_sent_and_not_shown() {
    let mut terminal = asked();
    terminal.types("CANARY\r");
    terminal.until_asked("Again: ");
    terminal.types("CANARY\r");
    terminal.until("ended 1\r\n");
    assert!(terminal.seen().contains("(unreachable)"), "{}", terminal.seen());
    assert!(!terminal.seen().contains("CANARY"), "{}", terminal.seen());
    assert!(terminal.is_as_usual());
}

#[test]
fn enter_alone_is_no_value() {
    let mut terminal = asked();
    terminal.types("\r");
    terminal.until("ended 2\r\n");
    assert!(terminal.seen().contains("--value-file /dev/null"), "{}", terminal.seen());
}
