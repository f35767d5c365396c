//! Times on the wire: RFC 3339, UTC, milliseconds. By hand, because every read writes three of them and
//! a general formatter costs more than the rest of the answer's head.
//! Knows nothing of clocks.

use std::fmt;

use covault_model::hlc::Millis;
use serde::{Serialize, Serializer};

/// Bytes of a time as this writes it, `2026-11-21T04:18:18.000Z`.
const LEN: usize = 24;
/// 9999-12-31T23:59:59.999Z, the last time that four digits of a year can say.
const LAST: u64 = 253_402_300_799_999;
const DAY_MS: u64 = 86_400_000;

/// A time that serialises as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Millis);

/// Why a text is not a time. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeError;

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be an RFC 3339 time such as 2026-11-21T04:18:18.000Z")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let text = digits(self.0);
        to.serialize_str(str::from_utf8(&text).expect("digits and punctuation are ASCII"))
    }
}

/// Writes `millis`; a time beyond the year 9999 is written as its last millisecond.
fn digits(millis: Millis) -> [u8; LEN] {
    let millis = millis.0.min(LAST);
    let (year, month, day) = civil_of(millis / DAY_MS);
    let rest = millis % DAY_MS;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(&mut text[0..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], rest / 3_600_000);
    put(&mut text[14..16], rest / 60_000 % 60);
    put(&mut text[17..19], rest / 1000 % 60);
    put(&mut text[20..23], rest % 1000);
    text
}

fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        // The remainder of a division by ten fits a byte.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01. After Howard Hinnant's `civil_from_days`:
/// years begin in March, so that the leap day is the last one.
fn civil_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to a date; negative before it.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

/// Reads RFC 3339 with `Z` or an offset and up to nine digits of a second, cut to milliseconds. Times
/// before 1970 are read as 1970, since nothing here is older.
pub fn parse(text: &str) -> Result<Millis, TimeError> {
    let bytes = text.as_bytes();
    let (head, tail) = bytes.split_at_checked(19).ok_or(TimeError)?;
    let shape = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if shape.iter().any(|(at, mark)| head[*at] != *mark) || !matches!(head[10], b'T' | b't') {
        return Err(TimeError);
    }
    let (year, month, day) = (number(&head[0..4])?, number(&head[5..7])?, number(&head[8..10])?);
    let (hour, minute, second) = (number(&head[11..13])?, number(&head[14..16])?, number(&head[17..19])?);
    let real = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !real {
        return Err(TimeError);
    }
    let (millis, zone) = fraction(tail)?;
    let seconds = days_of(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset(zone)?;
    let since_epoch = (seconds * 1000 + millis).max(0);
    Ok(Millis(u64::try_from(since_epoch).map_err(|_| TimeError)?))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

fn number(digits: &[u8]) -> Result<i64, TimeError> {
    digits.iter().try_fold(0, |sum, digit| match digit {
        b'0'..=b'9' => Ok(sum * 10 + i64::from(digit - b'0')),
        _ => Err(TimeError),
    })
}

/// The milliseconds of `.123…`, if it is there, and what follows.
fn fraction(tail: &[u8]) -> Result<(i64, &[u8]), TimeError> {
    let Some(after) = tail.strip_prefix(b".") else { return Ok((0, tail)) };
    let len = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&len) {
        return Err(TimeError);
    }
    let mut millis = *b"000";
    let kept = len.min(3);
    millis[..kept].copy_from_slice(&after[..kept]);
    Ok((number(&millis)?, &after[len..]))
}

/// Seconds that `Z`, `+hh:mm` or `-hh:mm` lies ahead of UTC.
fn offset(zone: &[u8]) -> Result<i64, TimeError> {
    match zone {
        b"Z" | b"z" => Ok(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if 24 <= hours || 60 <= minutes {
                return Err(TimeError);
            }
            let seconds = hours * 3600 + minutes * 60;
            Ok(if *sign == b'+' { seconds } else { -seconds })
        }
        _ => Err(TimeError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, millis: u64) {
        assert_eq!(parse(text), Ok(Millis(millis)), "{text}");
    }

    #[test]
    fn known_times_are_read() {
        check("1970-01-01T00:00:00Z", 0);
        check("2000-02-29T23:59:59.999Z", 951_868_799_999);
        check("2026-11-21T04:18:18.5Z", 1_795_234_698_500);
        check("2026-11-21T06:18:18.500123456+02:00", 1_795_234_698_500);
        check("2026-11-20t23:18:18.500-05:00", 1_795_234_698_500);
        check("9999-12-31T23:59:59.999Z", LAST);
        check("0001-01-01T00:00:00Z", 0);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let bad = [
            "",
            "now",
            "2026-11-21",
            "2026-11-21 04:18:18Z",
            "2026-11-21T04:18:18",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T04:18:60Z",
            "2026-11-21T04:18:18.Z",
            "2026-11-21T04:18:18.1234567890Z",
            "2026-11-21T04:18:18+0200",
            "2026-11-21T04:18:18ZZ",
            "2026-11-21T04:18:1é",
        ];
        for text in bad {
            assert_eq!(parse(text), Err(TimeError), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for millis in (0..LAST).step_by(9_876_543_210_987).chain([LAST, 951_782_399_999, 951_782_400_000]) {
            let text = digits(Millis(millis));
            assert_eq!(parse(str::from_utf8(&text).expect("ASCII")), Ok(Millis(millis)));
        }
    }
}
