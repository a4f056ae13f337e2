//! The wall clock as people and machines read it: RFC 3339 in UTC. Decisions never use it, see [`super::Moment`].

use std::time::{SystemTime, UNIX_EPOCH};

const MILLIS_A_DAY: i64 = 24 * 60 * 60 * 1000;

/// `time` in UTC with milliseconds, as RFC 3339 writes it: `2024-02-29T23:59:59.999Z`.
pub fn rfc3339(time: SystemTime) -> String {
    let millis = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        // Rounds away from 1970 down to the millisecond, as it does after 1970.
        Err(before) => i64::try_from(before.duration().as_nanos().div_ceil(1_000_000)).map_or(i64::MIN, |millis| -millis),
    };
    let (year, month, day) = civil(millis.div_euclid(MILLIS_A_DAY));
    let in_day = millis.rem_euclid(MILLIS_A_DAY);
    let (seconds, fraction) = (in_day / 1000, in_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar without an end to either side.
///
/// The year is taken to begin in March, so that the leap day is its last day and the months before it follow one pattern
/// (Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_IN_400_YEARS: i64 = 146_097;
    const DAYS_FROM_YEAR_0_TO_1970: i64 = 719_468;
    let days = days + DAYS_FROM_YEAR_0_TO_1970;
    let (era, day_of_era) = (days.div_euclid(DAYS_IN_400_YEARS), days.rem_euclid(DAYS_IN_400_YEARS));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> String {
        rfc3339(UNIX_EPOCH + Duration::from_millis(millis))
    }

    #[test]
    fn known_points_in_time_are_written_as_date_writes_them() {
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(951_868_799_999), "2000-02-29T23:59:59.999Z");
        assert_eq!(at(1_709_251_199_001), "2024-02-29T23:59:59.001Z");
        assert_eq!(at(1_735_689_599_050), "2024-12-31T23:59:59.050Z");
        assert_eq!(at(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_clock_set_before_1970_is_still_written() {
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_millis(1)), "1969-12-31T23:59:59.999Z");
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_nanos(1)), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_day_before() {
        let mut previous = civil(0);
        for day in 1..=146_097 {
            let today = civil(day);
            let (year, month, of_month) = previous;
            let follows = today == (year, month, of_month + 1)
                || (today == (year, month + 1, 1) && of_month >= 28)
                || (today == (year + 1, 1, 1) && (month, of_month) == (12, 31));
            assert!(follows, "{previous:?} then {today:?}");
            previous = today;
        }
        assert_eq!(previous, (2370, 1, 1));
    }
}
