// SPDX-License-Identifier: MIT

package chaos

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/trustloom/trustloom/integrations/est"
	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// nodes are several processes on one PostgreSQL and one external engine.
type nodes struct {
	args []string
	dir  string // what they share: keys, and the CA of their TLS certificates
}

func newNodes(t *testing.T) *nodes {
	t.Helper()
	engine, shared := t.TempDir(), t.TempDir()
	fixture.TemporalIn(t, engine)
	tls := func(name string) string { return filepath.Join(engine, "temporal", "tls", name) }
	within := func(name string) string { return filepath.Join(shared, name) }
	return &nodes{dir: shared, args: []string{
		"--temporal-address", fixture.Frontend(t, engine), "--temporal-namespace", "trustloom", "--temporal-server-name", fixture.EngineName,
		"--temporal-ca", tls("ca.pem"), "--temporal-cert", tls("client.pem"), "--temporal-key", tls("client.key"),
		"--database-url", fixture.Postgres(t), "--key-dir", within("keys"), "--sealing-key-file", within("sealing.key"),
		"--payload-key-file", within("payload.key"), "--tls-dir", within("tls"), "--public-url", "http://pki.example",
	}}
}

// node starts a process with a role.
func (n *nodes) node(t *testing.T, role string, env ...string) *running.Instance {
	t.Helper()
	i := running.New(t, append([]string{"--role", role}, n.args...)...)
	i.CA = filepath.Join(n.dir, "tls", "ca.pem")
	i.Launch(env...)
	i.AwaitReady(60 * time.Second)
	return i
}

// TestZombieWorker (F05) freezes a worker after it has signed and before it
// has recorded. Another worker takes the story over and ends it; the frozen one
// comes back later, and its signature changes nothing.
func TestZombieWorker(t *testing.T) {
	n := newNodes(t)
	front := n.node(t, "api")
	helper := n.node(t, "worker")
	shareToken(t, front, helper)
	p := newPlant(t, front)
	helper.Stop()
	zombie := n.node(t, "worker", "TRUSTLOOM_FAULT=freeze:after-sign")
	d := p.newcomer("press-01")
	p.pends(t, d)
	awaitFrozen(t, zombie)
	helper.Start()
	first, err := p.patiently(d.name, d.send)
	p.must(err)
	p.must(zombie.Cmd.Process.Signal(syscall.SIGCONT))
	zombie.AwaitReady(30 * time.Second)
	second := p.newcomer("press-02") // the zombie works again
	_, err = p.patiently(second.name, second.send)
	p.must(err)
	again, err := p.patiently(d.name, d.send)
	p.must(err)
	if !bytes.Equal(first.Raw, again.Raw) {
		t.Error("after the zombie came back the device gets another certificate")
	}
	p.checkEverything(t)
}

// shareToken gives every process the operator's token, which one of them made.
func shareToken(t *testing.T, all ...*running.Instance) {
	t.Helper()
	name := func(i *running.Instance) string { return filepath.Join(i.Dir, "admin-token") }
	for _, maker := range all {
		token, err := os.ReadFile(name(maker))
		if err != nil {
			continue
		}
		for _, i := range all {
			if err := os.WriteFile(name(i), token, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	t.Fatal("no process wrote admin-token")
}

// awaitFrozen waits until a process has stopped itself.
func awaitFrozen(t *testing.T, i *running.Instance) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", i.Cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if _, state, _ := bytes.Cut(stat, []byte(") ")); len(state) > 0 && state[0] == 'T' {
			return
		}
	}
	t.Fatal("the worker has not come to its fault point")
}

// TestFleetAtTwoDoors (F28, F31) lets a whole fleet come at once, each device
// with the same request to two api processes at the same moment: both give the
// same bytes.
func TestFleetAtTwoDoors(t *testing.T) {
	size := 60
	if *soak {
		size = 1000
	}
	n := newNodes(t)
	doors := [2]*running.Instance{n.node(t, "api"), n.node(t, "api")}
	worker := n.node(t, "worker")
	shareToken(t, doors[0], doors[1], worker)
	p := newPlant(t, doors[0])
	var fleet []*device
	for n := range size {
		fleet = append(fleet, p.register(fmt.Sprintf("press-%04d", n)))
	}
	var all sync.WaitGroup
	for _, d := range fleet {
		all.Go(func() {
			if err := d.atBothDoors(doors); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	p.checkEverything(t)
}

// atBothDoors sends the first request of a device to both at once.
func (d *device) atBothDoors(doors [2]*running.Instance) error {
	csr, _ := newRequest(d.name)
	var got [2][]byte
	var failed [2]error
	var both sync.WaitGroup
	for n, door := range doors {
		both.Go(func() {
			client, err := est.NewClient(est.ClientConfig{URL: "https://" + door.HTTPS, Roots: d.plant.roots,
				Label: est.Label{Domain: domainName}, Username: d.name, Password: d.secret})
			if err != nil {
				failed[n] = err
				return
			}
			defer client.Close()
			certificate, err := d.plant.patiently(d.name, func(ctx context.Context) (est.Result, error) { return client.SimpleEnroll(ctx, csr) })
			if failed[n] = err; err == nil {
				got[n] = certificate.Raw
			}
		})
	}
	both.Wait()
	switch {
	case failed[0] != nil || failed[1] != nil:
		return fmt.Errorf("%s: %v, %v", d.name, failed[0], failed[1])
	case !bytes.Equal(got[0], got[1]):
		return fmt.Errorf("%s got two certificates for one request", d.name)
	}
	return nil
}
