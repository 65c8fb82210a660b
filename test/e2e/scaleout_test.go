// SPDX-License-Identifier: MIT

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// cluster is two api and two worker processes on one PostgreSQL and one
// external Temporal frontend, as a plant runs them.
type cluster struct {
	apis, workers [2]*instance
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	shared := t.TempDir() // what such processes share: keys, and the CA of their TLS certificates
	engine := externalTemporal(t)
	args := append(engine,
		"--database-url", fixture.Postgres(t),
		"--key-dir", filepath.Join(shared, "keys"), "--sealing-key-file", filepath.Join(shared, "sealing.key"),
		"--payload-key-file", filepath.Join(shared, "payload.key"), "--tls-dir", filepath.Join(shared, "tls"),
		"--public-url", "http://pki.example")
	c := &cluster{}
	for n := range 2 {
		c.apis[n] = running.New(t, append([]string{"--role", "api"}, args...)...)
		c.workers[n] = running.New(t, append([]string{"--role", "worker"}, args...)...)
		for _, i := range []*instance{c.apis[n], c.workers[n]} {
			i.CA = filepath.Join(shared, "tls", "ca.pem")
			i.Launch()
		}
	}
	for n := range 2 {
		c.apis[n].AwaitReady(60 * time.Second)
		c.workers[n].AwaitReady(60 * time.Second)
	}
	return c
}

// externalTemporal runs an engine that belongs to none of the servers and
// returns the arguments that reach it.
func externalTemporal(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	fixture.TemporalIn(t, dir)
	file := func(name string) string { return filepath.Join(dir, "temporal", "tls", name) }
	return []string{
		"--temporal-address", fixture.Frontend(t, dir), "--temporal-namespace", "trustloom",
		"--temporal-server-name", fixture.EngineName,
		"--temporal-ca", file("ca.pem"), "--temporal-cert", file("client.pem"), "--temporal-key", file("client.key"),
	}
}

// adminOf finds the process that wrote the first operator's token.
func (c *cluster) plant(t *testing.T) *plant {
	t.Helper()
	for _, i := range append(c.apis[:], c.workers[:]...) {
		token, err := os.ReadFile(filepath.Join(i.Dir, "admin-token"))
		if err != nil {
			continue
		}
		for _, other := range c.apis {
			if err := os.WriteFile(filepath.Join(other.Dir, "admin-token"), token, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return newPlant(t, c.apis[0], models.StoreSoftware)
	}
	t.Fatal("no process wrote admin-token")
	return nil
}

func TestTwoOfEach(t *testing.T) {
	c := startCluster(t)
	p := c.plant(t)
	const enrollments = 200
	devices := make([]*device, enrollments)
	for n := range devices {
		devices[n] = p.register(t, fmt.Sprintf("press-%03d", n))
		devices[n].newCSR("domain", "/CN=x")
	}
	answers := make([]answer, enrollments)
	work := make(chan int)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := range work {
				answers[n] = devices[n].untilAnswered(c, n)
			}
		})
	}
	for n := range devices {
		if n == enrollments/2 {
			c.apis[1].Kill()
			c.workers[1].Kill()
		}
		work <- n
	}
	close(work)
	all.Wait()
	for n, a := range answers {
		devices[n].keep(a, "domain")
	}
	p.checkInvariants(t)
}

// untilAnswered sends the request to the two api processes in turn, as a
// device does that has two addresses, until one of them answers for good.
func (d *device) untilAnswered(c *cluster, n int) answer {
	deadline := time.Now().Add(60 * time.Second)
	for try := n; ; try++ {
		a := d.estAt(c.apis[try%2], d.plant.domain+"/simpleenroll", "domain.csr", d.basic()...)
		if a.status == "200" || time.Now().After(deadline) {
			return a
		}
		time.Sleep(200 * time.Millisecond)
	}
}
