// SPDX-License-Identifier: MIT

package models

import (
	"fmt"
	"strconv"
	"time"
)

// Duration is a span of time as operators write it: an integer and a unit,
// one of s, m, h, d (24 hours) or y (365 days), for example "90s" or "30d".
// The zero value is "not set" and prints as the empty string.
type Duration time.Duration

var durationUnits = []struct {
	suffix byte
	length time.Duration
}{
	{'y', 365 * 24 * time.Hour},
	{'d', 24 * time.Hour},
	{'h', time.Hour},
	{'m', time.Minute},
	{'s', time.Second},
}

// maxDuration bounds what can be parsed: a thousand years would overflow
// int64 nanoseconds, a hundred are enough for any certificate.
const maxDuration = 100 * 365 * 24 * time.Hour

// ParseDuration reads the form described at Duration. It is KindInvalid for
// anything else, for negative values and for more than a hundred years.
func ParseDuration(s string) (Duration, error) {
	if len(s) < 2 {
		return 0, durationError(s)
	}
	count, err := strconv.ParseUint(s[:len(s)-1], 10, 40)
	if err != nil {
		return 0, durationError(s)
	}
	for _, u := range durationUnits {
		if u.suffix != s[len(s)-1] {
			continue
		}
		if count > uint64(maxDuration/u.length) {
			return 0, Errorf(KindInvalid, "duration %q is longer than 100y", s)
		}
		return Duration(time.Duration(count) * u.length), nil
	}
	return 0, durationError(s)
}

func durationError(s string) error {
	return Errorf(KindInvalid, "duration %q is not an integer followed by s, m, h, d or y, such as 30d", s)
}

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the shortest exact form: the largest unit that divides d.
func (d Duration) String() string {
	if d == 0 {
		return ""
	}
	for _, u := range durationUnits {
		if d.Std()%u.length == 0 {
			return fmt.Sprintf("%d%c", d.Std()/u.length, u.suffix)
		}
	}
	return fmt.Sprintf("%ds", d.Std()/time.Second)
}

// MarshalText and UnmarshalText make Duration a JSON string.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is the inverse of MarshalText; the empty text is zero.
func (d *Duration) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = 0
		return nil
	}
	parsed, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
