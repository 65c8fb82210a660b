// SPDX-License-Identifier: MIT

package chaos

import (
	"database/sql"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/audit"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
	"github.com/trustloom/trustloom/test/fixture/running"
)

// corruption is damage that nobody may do, and the promise that it breaks.
type corruption struct {
	name      string
	invariant string
	damage    string // SQL
	repair    string // SQL
}

// a certificate and its request, chosen by the test.
const theCertificate = "(SELECT id FROM certificates WHERE request_id <> '' ORDER BY id LIMIT 1)"

var corruptions = []corruption{
	{"a request says issued, but names no certificate", "I1",
		"UPDATE requests SET certificate_id = '' WHERE id = (SELECT request_id FROM certificates WHERE id = " + theCertificate + ")",
		"UPDATE requests SET certificate_id = " + theCertificate + " WHERE id = (SELECT request_id FROM certificates WHERE id = " + theCertificate + ")"},
	{"the bytes of an issued certificate are gone", "I1",
		"CREATE TABLE kept AS SELECT id, der FROM certificates; UPDATE certificates SET der = NULL WHERE id = " + theCertificate,
		"UPDATE certificates SET der = (SELECT der FROM kept WHERE kept.id = certificates.id); DROP TABLE kept"},
	{"the bytes that were reserved are others than those that were signed", "I2",
		"CREATE TABLE kept AS SELECT id, tbs FROM certificates; UPDATE certificates SET tbs = der WHERE id = " + theCertificate,
		"UPDATE certificates SET tbs = (SELECT tbs FROM kept WHERE kept.id = certificates.id); DROP TABLE kept"},
	{"nobody counted the signature", "I2",
		"UPDATE certificates SET attempts = 0 WHERE id = " + theCertificate, "UPDATE certificates SET attempts = 1 WHERE id = " + theCertificate},
	{"the row has another serial number than the certificate", "I3",
		"UPDATE certificates SET serial = '0' || serial WHERE id = " + theCertificate, "UPDATE certificates SET serial = substr(serial, 2) WHERE id = " + theCertificate},
	{"the certificate names an issuer that is not there", "I4",
		"UPDATE certificates SET issuer_key_id = 'x' || issuer_key_id WHERE id = " + theCertificate, "UPDATE certificates SET issuer_key_id = substr(issuer_key_id, 2) WHERE id = " + theCertificate},
	{"an accepted request was forgotten", "I5",
		"DELETE FROM outbox_items; UPDATE requests SET state = 'approved' WHERE id = (SELECT request_id FROM certificates WHERE id = " + theCertificate + ")",
		"UPDATE requests SET state = 'issued' WHERE id = (SELECT request_id FROM certificates WHERE id = " + theCertificate + ")"},
	{"the number of a CRL was changed", "I7", "UPDATE crls SET number = number + 1000", "UPDATE crls SET number = number - 1000"},
	{"an audit event was changed", "I8",
		"UPDATE events SET actor = actor || 'x' WHERE action = 'certificate.issued'", "UPDATE events SET actor = substr(actor, 1, length(actor) - 1) WHERE action = 'certificate.issued'"},
	{"nothing is left of a purged certificate", "I1",
		"CREATE TABLE kept AS SELECT * FROM tombstones; DELETE FROM tombstones", "INSERT INTO tombstones SELECT * FROM kept; DROP TABLE kept"},
	{"a certificate was removed, not purged", "I1",
		"UPDATE events SET action = 'certificate.kept' WHERE action = 'certificate.purged'", "UPDATE events SET action = 'certificate.purged' WHERE action = 'certificate.kept'"},
	{"a serial number was given again after the purge", "I3",
		"CREATE TABLE kept AS SELECT id, serial FROM tombstones; UPDATE tombstones SET serial = (SELECT serial FROM certificates WHERE certificates.id = " + theCertificate + ")",
		"UPDATE tombstones SET serial = (SELECT serial FROM kept WHERE kept.id = tombstones.id); DROP TABLE kept"},
	{"a certificate was moved to another device", "I10",
		"UPDATE certificates SET device_id = 'x' || device_id WHERE id = " + theCertificate, "UPDATE certificates SET device_id = substr(device_id, 2) WHERE id = " + theCertificate},
}

// TestCheckFindsCorruption damages a database that is sound in each of these
// ways, looks that the check says which promise is broken, and repairs it.
func TestCheckFindsCorruption(t *testing.T) {
	onBoth(t, func(t *testing.T, p *plant) {
		for _, name := range []string{"press-01", "press-02"} {
			d := p.register(name)
			p.must(d.onboard())
			p.must(d.enroll("certificate"))
		}
		p.awaitCRL(t)
		p.checkEverything(t)
		p.Stop()
		p.purgeOne(t)
		if found := p.findings(t); len(found) != 0 {
			t.Errorf("after a purge: %+v", found)
		}
		db := p.open(t)
		for _, c := range corruptions {
			t.Run(c.name, func(t *testing.T) {
				p.run(t, db, c.damage)
				broken := p.broken(t)
				p.run(t, db, c.repair)
				if !broken[c.invariant] {
					t.Errorf("the check says that %v are broken, want %s", broken, c.invariant)
				}
				if left := p.broken(t); len(left) != 0 {
					t.Errorf("after the repair %v are broken", left)
				}
			})
		}
	})
}

// purgeOne purges one certificate of the database of a server that is stopped,
// by a clock that is far ahead.
func (p *plant) purgeOne(t *testing.T) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(p.Dir, "sealing.key"))
	p.must(err)
	s, err := store.Open(t.Context(), store.Config{URL: p.databaseURL(), AuditKey: audit.NewKey(key), Now: func() time.Time { return time.Now().AddDate(2, 0, 0) }})
	p.must(err)
	defer func() { _ = s.Close() }()
	domain, err := s.FindDomainByName(t.Context(), domainName)
	p.must(err)
	domain.Retention = models.MinRetention
	p.must(s.Write(t.Context(), func(tx *store.Tx) error { return tx.SaveDomain(domain) }))
	done, err := s.Purge(t.Context(), store.PurgeOrder{DomainID: domain.ID, Limit: 1, Event: models.Event{Actor: "system"}})
	if err != nil || done.Count != 1 {
		t.Fatalf("purged %+v, %v", done, err)
	}
}

// awaitCRL waits until the issuing CA has published its first CRL.
func (p *plant) awaitCRL(t *testing.T) {
	t.Helper()
	ca, err := p.api.FindCA(t.Context(), "plant-issuing")
	p.must(err)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get("http://" + p.HTTP + "/crl/" + ca.KeyID + ".crl")
		p.must(err)
		p.must(answer.Body.Close())
		if answer.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no CRL was published: %s", answer.Status)
		}
	}
}

// open opens the database of a server that is stopped, past its code.
func (p *plant) open(t *testing.T) *sql.DB {
	t.Helper()
	driver, source := "pgx", p.databaseURL()
	if path, lite := strings.CutPrefix(source, "sqlite:"); lite {
		driver, source = "sqlite", "file:"+path
	}
	db, err := sql.Open(driver, source)
	p.must(err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (p *plant) run(t *testing.T, db *sql.DB, statements string) {
	t.Helper()
	for _, statement := range strings.Split(statements, "; ") {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// broken returns the promises that a check finds broken.
func (p *plant) broken(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, f := range p.findings(t) {
		found[f.Invariant] = true
	}
	return found
}

// TestCheckCommand runs the command as an operator does, beside the server.
func TestCheckCommand(t *testing.T) {
	p := newPlant(t, running.Start(t))
	p.must(p.register("press-01").onboard())
	trustloomd := func(args ...string) (string, error) {
		out, err := exec.Command(running.Binary(t, "trustloomd"), append([]string{"check", "--data-dir", p.Dir}, args...)...).CombinedOutput()
		return string(out), err
	}
	out, err := trustloomd()
	if err != nil || strings.Contains(out, "BROKEN") || !strings.Contains(out, "looked at") {
		t.Errorf("a sound database: %v\n%s", err, out)
	}
	token, err := os.ReadFile(filepath.Join(p.Dir, "admin-token"))
	p.must(err)
	log := filepath.Join(t.TempDir(), "server.log")
	p.must(os.WriteFile(log, append([]byte(strings.Repeat("x", 1<<20-3)), token...), 0o600))
	out, err = trustloomd("--log", log)
	if err == nil || !strings.Contains(out, "it holds the secret of "+filepath.Join(p.Dir, "admin-token")) || strings.Contains(out, strings.TrimSpace(string(token))) {
		t.Errorf("a log with the admin token: %v\n%s", err, out)
	}
	out, err = trustloomd("--data-dir", t.TempDir())
	if err == nil || !strings.Contains(out, "there is no database") {
		t.Errorf("an empty data directory: %v\n%s", err, out)
	}
	if _, err = store.Inspect(t.Context(), store.Config{URL: fixture.Postgres(t)}); err == nil {
		t.Error("an empty PostgreSQL database is taken for one of Trustloom")
	}
}
