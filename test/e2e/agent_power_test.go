// SPDX-License-Identifier: MIT

package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The steps of a renewal that must be among those that were cut; that there
// are no others in between is known from counting.
var (
	stepsOfAnyRenewal = []string{"pending", "answered", "rename trust.pem", "write fullchain.pem", "version", "journal",
		"stage current", "switched", "rename pending away", "published"}
	stepsOfFiles   = []string{"write key.pem", "write bundle.pem"}
	stepsOfTokens  = []string{"rename agent-web-", "noted", "made", "write key.uri"}
	stepsOfSuccess = append([]string{"hooked", "remove change.json", "confirmed", "remove v"}, stepsOfAnyRenewal...)
	stepsOfRefusal = append([]string{"refused", "returned", "rename refused", "remove change.json"}, stepsOfAnyRenewal...)
)

// powerCuts kills the agent of a device at its first step, at its second
// one, and so on, until it comes to its end by itself. The steps of its own are
// those that come from where it keeps its keys.
func powerCuts(t *testing.T, p *plant, kind string, with func(*testing.T, *device) *agentDevice, own []string) {
	t.Run("a renewal that succeeds", func(t *testing.T) {
		a := renewed(t, with(t, p.register(t, kind+"-01")))
		want := slices.Concat(own, stepsOfSuccess)
		if a.token != nil { // and nothing is destroyed after a refusal
			want = append(want, "destroyed", "remove agent-web-")
		}
		everyStep(t, a, 0, want, func(before string, points []string) {
			a.agent(0, "renew") // the next start
			after := a.serial()
			if asked := strings.Contains(strings.Join(points, ","), "pending"); asked == (after == before) {
				t.Errorf("cut at %q: certificate %s before, %s after the next start", points[len(points)-1], before, after)
			}
		})
	})
	t.Run("a renewal that the hook refuses", func(t *testing.T) {
		a := renewed(t, with(t, p.register(t, kind+"-02")))
		refuse := func() { a.write("verdict", `[ "$TRUSTLOOM_EVENT" = returned ]`) }
		refuse()
		everyStep(t, a, 1, slices.Concat(own, stepsOfRefusal), func(before string, points []string) {
			_ = a.command("renew").Run() // the next start; whether there is something to refuse depends on the step
			if after := a.serial(); after != before {
				t.Errorf("cut at %q: certificate %s is in use, want %s", points[len(points)-1], after, before)
			}
			a.write("verdict", "exit 0")
			a.agent(0, "renew")
			refuse()
		})
	})
	t.Run("a renewal whose hook takes the agent with it", func(t *testing.T) {
		a := renewed(t, with(t, p.register(t, kind+"-03")))
		before := a.serial()
		a.write("verdict", "kill -9 $PPID")
		if err := a.command("renew", "web", "--now").Run(); err == nil {
			t.Fatal("the agent survived")
		}
		a.serial()
		a.write("verdict", "exit 0")
		a.agent(0, "renew")
		if a.serial() == before {
			t.Error("the renewal was not finished")
		}
		a.noOrphans()
	})
}

// renewed is a device whose certificate was renewed once: there is something
// old to remove.
func renewed(t *testing.T, a *agentDevice) *agentDevice {
	a.agent(0, "enroll")
	a.agent(0, "renew", "web", "--now")
	return a
}

// everyStep cuts renewals, one at each step; restart is what comes after, with
// the serial number before and the points so far. The renewal without a cut
// ends with this code.
func everyStep(t *testing.T, a *agentDevice, code int, want []string, restart func(before string, points []string)) {
	t.Helper()
	var points []string
	for {
		if err := os.Remove(a.path("trust.pem")); err != nil && !errors.Is(err, fs.ErrNotExist) { // writing it is a step, too
			t.Fatal(err)
		}
		before := a.serial()
		point := a.cutAt(len(points)+1, code, "renew", "web", "--now")
		a.serial() // usable at once
		if point == "" {
			break
		}
		points = append(points, point)
		restart(before, points)
		a.noOrphans()
		if t.Failed() || len(points) > 200 {
			t.Fatalf("after these steps: %q", points)
		}
	}
	for _, name := range want {
		if !strings.Contains(strings.Join(points, ","), name) {
			t.Errorf("no cut at %q; the steps were %q", name, points)
		}
	}
	t.Logf("%d steps", len(points))
}

var cutAtPoint = regexp.MustCompile(`ends itself at step \d+: (.+)`)

// cutAt runs the agent until it kills itself at a step, and says which that
// is; "" if the agent ended before, with this code.
func (a *agentDevice) cutAt(step, code int, args ...string) string {
	a.t.Helper()
	cmd := a.command(args...)
	cmd.Env = append(os.Environ(), "TRUSTLOOM_FAULT="+strconv.Itoa(step))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch found := cutAtPoint.FindSubmatch(out); {
	case found != nil && errors.As(err, &exit) && exit.ExitCode() == -1:
		return string(found[1])
	case found == nil && cmd.ProcessState.ExitCode() == code:
		return ""
	}
	a.t.Fatalf("trustloom-agent %v, to be cut at step %d: %v\n%s", args, step, err, out)
	return ""
}

// noOrphans checks that there are private keys for what is in use and for its
// predecessor only, and that nothing is left over of what was interrupted.
func (a *agentDevice) noOrphans() {
	a.t.Helper()
	if a.token != nil {
		a.noKeysLeft()
		return
	}
	keys := map[string]map[string]bool{} // credential -> folder
	err := filepath.WalkDir(a.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(entry.Name(), ".trustloom-tmp-") || entry.Name() == "pending" || entry.Name() == "change.json" {
			a.t.Errorf("%s is left over (%v)", path, err)
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte("PRIVATE KEY")) {
			version := filepath.Dir(path)
			credential := filepath.Dir(version)
			if keys[credential] == nil {
				keys[credential] = map[string]bool{}
			}
			keys[credential][version] = true
		}
		return err
	})
	if err != nil || len(keys) != 2 {
		a.t.Errorf("there are keys of %d credentials (%v), want those of domain and web", len(keys), err)
	}
	for credential, versions := range keys {
		if len(versions) > 2 {
			a.t.Errorf("%s has %d keys, want the present one and the one before", credential, len(versions))
		}
	}
}
