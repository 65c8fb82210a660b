// SPDX-License-Identifier: MIT

package main

import (
	"crypto/x509"
	"testing"
	"time"
)

func TestRenewalIsDueAtTwoThirdsOrATenthEarlier(t *testing.T) {
	start := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		notBefore, notAfter, obtained time.Duration // from start
		earliest, latest              time.Duration
	}{
		"of the whole validity":                               {0, 300 * time.Hour, 0, 170 * time.Hour, 200 * time.Hour},
		"of what was left when it came, if it was dated back": {-time.Hour, 30 * time.Second, 0, 17 * time.Second, 20 * time.Second},
		"of the validity, if the clock was far behind":        {0, 300 * time.Hour, -9999 * time.Hour, 170 * time.Hour, 200 * time.Hour},
		"of the validity, if the clock was far ahead":         {0, 300 * time.Hour, 9999 * time.Hour, 170 * time.Hour, 200 * time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			seen := map[time.Time]bool{}
			for i := range 50 {
				cert := &x509.Certificate{Raw: []byte{byte(i)}, NotBefore: start.Add(tt.notBefore), NotAfter: start.Add(tt.notAfter)}
				due := renewalDue(cert, start.Add(tt.obtained))
				if due.Before(start.Add(tt.earliest)) || due.After(start.Add(tt.latest)) {
					t.Fatalf("due %s after the start, want %s to %s", due.Sub(start), tt.earliest, tt.latest)
				}
				if again := renewalDue(cert, start.Add(tt.obtained)); !again.Equal(due) {
					t.Fatal("the same certificate is due at another time")
				}
				seen[due] = true
			}
			if len(seen) < 25 {
				t.Errorf("50 certificates are due at %d instants only", len(seen))
			}
		})
	}
}

func TestPausesGrowAndStayShortNearTheEnd(t *testing.T) {
	tests := map[string]struct {
		failures         int
		asked, remaining time.Duration
		spread           float64
		want             time.Duration
	}{
		"the first is short":                      {1, 0, 0, 0, time.Second},
		"the fourth is longer":                    {4, 0, 0, 0, 8 * time.Second},
		"the hundredth has a bound":               {100, 0, 0, 0, longestPause},
		"the server's wish is followed":           {1, time.Minute, 0, 0, time.Minute},
		"little time left shortens it":            {9, time.Minute, 8 * time.Second, 0, 2 * time.Second},
		"never below a second":                    {9, 0, time.Second, 0, time.Second},
		"an expired certificate shortens nothing": {4, 0, -time.Hour, 0, 8 * time.Second},
		"spread makes it longer":                  {4, 0, 0, 0.5, 8800 * time.Millisecond},
	}
	for name, tt := range tests {
		if got := pause(tt.failures, tt.asked, tt.remaining, tt.spread); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
