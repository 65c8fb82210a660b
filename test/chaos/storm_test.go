// SPDX-License-Identifier: MIT

package chaos

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// storm is how hard TestKillStorm is.
type storm struct{ clients, enrollments, kills int }

var (
	shortStorm = storm{clients: 8, enrollments: 160, kills: 8}
	fullStorm  = storm{clients: 16, enrollments: 2000, kills: 200}
)

// TestKillStorm (F01 to F04, F55) kills the server at random moments, also
// while it starts, under clients that onboard devices and enroll application
// certificates. Each client repeats its request until it has its certificate.
// In the end every certificate of the database is held by exactly the device
// that asked for it.
func TestKillStorm(t *testing.T) {
	size := shortStorm
	if *soak {
		size = fullStorm
	}
	onBoth(t, func(t *testing.T, p *plant) {
		fleets := make([][]*device, size.clients)
		for n := range fleets {
			for m := range max(1, size.enrollments/size.clients/5) {
				fleets[n] = append(fleets[n], p.register(fmt.Sprintf("press-%02d-%03d", n, m)))
			}
		}
		var all sync.WaitGroup
		var done atomic.Int64
		for n := range fleets {
			all.Go(func() {
				if err := work(fleets[n], size.enrollments/size.clients, &done); err != nil {
					t.Error(err)
				}
			})
		}
		kills := p.killAtRandom(t, size, &done)
		all.Wait()
		p.checkEverything(t)
		t.Logf("%d enrollments survived %d kills", done.Load(), kills)
	})
}

// work lets one client enroll: every fifth certificate is the first one of
// another device.
func work(fleet []*device, enrollments int, done *atomic.Int64) error {
	var current *device
	for n := range enrollments {
		var err error
		if n%5 == 0 && n/5 < len(fleet) {
			current = fleet[n/5]
			err = current.onboard()
		} else {
			err = current.enroll(fmt.Sprintf("certificate %d", n))
		}
		if err != nil {
			return err
		}
		done.Add(1)
	}
	return nil
}

// killAtRandom kills the server as often as the storm says, or until all is
// done, and leaves it running. Between two kills at least a few enrollments
// come through, except that every fourth kill hits a server that still starts.
func (p *plant) killAtRandom(t *testing.T, size storm, done *atomic.Int64) (kills int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	total := int64(size.clients * (size.enrollments / size.clients))
	share := total / int64(size.kills+1)
	for ; kills < size.kills && done.Load() < total; kills++ {
		if kills%4 == 3 {
			time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		} else {
			p.AwaitReady(60 * time.Second)
			target := min(done.Load()+share, total)
			for deadline := time.Now().Add(time.Minute); done.Load() < target && time.Now().Before(deadline); {
				time.Sleep(time.Duration(1+random.IntN(20)) * time.Millisecond)
			}
		}
		p.Kill()
		p.Launch()
	}
	p.AwaitReady(60 * time.Second)
	return kills
}
