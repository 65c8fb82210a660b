// SPDX-License-Identifier: MIT

package chaos

import (
	"crypto/x509"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/test/fixture"
)

// TestCheckUnderstandsEverything fills a database with one of everything that
// did not come from a device's request. All of it is sound.
func TestCheckUnderstandsEverything(t *testing.T) {
	onBoth(t, func(t *testing.T, p *plant) {
		bought := p.authoritiesFromElsewhere(t)
		p.certificatesFromElsewhere(t, bought)
		p.deliveries(t)
		d := p.register("press-03")
		p.must(d.onboard())
		p.must(d.enroll("certificate"))
		_, err := p.api.DecommissionDevice(t.Context(), d.name)
		p.must(err)
		p.awaitListed(t, "bought", 1)
		p.awaitListed(t, "plant-issuing", 3)
		p.settle(t)
		for _, f := range p.findings(t) {
			t.Errorf("%s is broken: %s: %s", f.Invariant, f.Subject, f.Problem)
		}
	})
}

// authoritiesFromElsewhere has a CA imported with its key, one signed by
// somebody else, one that waits for that, and some without keys, of which two
// have the same.
func (p *plant) authoritiesFromElsewhere(t *testing.T) *fixture.Outside {
	t.Helper()
	ctx := t.Context()
	root := fixture.NewOutside(t, "Offline Root", nil)
	bought := fixture.NewOutside(t, "Bought CA", root)
	_, err := p.api.ImportCA(ctx, api.CAImport{Name: "bought", Key: bought.KeyPEM(t), Certificate: slices.Concat(bought.PEM(), root.PEM())})
	p.must(err)
	for _, name := range []string{"signed", "waiting"} {
		_, err = p.api.CreateCA(ctx, api.CACreation{Name: name, Type: models.CAIssuing, External: true})
		p.must(err)
	}
	var request []byte
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if request, err = p.api.CARequest(ctx, "signed"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	_, err = p.api.InstallCA(ctx, "signed", api.CACertificate{Certificate: root.Answer(t, request)})
	p.must(err)
	return bought
}

// certificatesFromElsewhere imports certificates: of a CA that is known and of
// one that is not, and one that we would never issue; one is revoked.
func (p *plant) certificatesFromElsewhere(t *testing.T, bought *fixture.Outside) {
	t.Helper()
	leaf := func(name string, above *fixture.Outside, change func(*x509.Certificate)) []byte {
		return fixture.NewOutside(t, name, above, func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
			change(c)
		}).PEM()
	}
	file := slices.Concat(
		leaf("known", bought, func(*x509.Certificate) {}),
		leaf("longer than its issuer", bought, func(c *x509.Certificate) { c.NotAfter = bought.Cert.NotAfter.AddDate(9, 0, 0) }),
		leaf("bound", fixture.NewOutside(t, "Unknown CA", nil), func(c *x509.Certificate) { c.Subject.SerialNumber = "SN-press-01" }),
	)
	p.register("press-01")
	result, err := p.api.ImportCertificates(t.Context(), api.CertificateImport{File: file, Domain: domainName, BindDevices: true})
	p.must(err)
	for _, item := range result.Items {
		if item.Outcome != "imported" {
			t.Fatalf("%+v", item)
		}
	}
	_, err = p.api.RevokeCertificate(t.Context(), result.Items[0].ID, api.Revocation{Reason: "superseded"})
	p.must(err)
}

// deliveries has keys made for devices, of which one is fetched, one waits, and
// one is withdrawn.
func (p *plant) deliveries(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	for name, channel := range map[string]models.DeliveryChannel{
		"fetched": models.DeliverToOperator, "withdrawn": models.DeliverToOperator, "waiting": models.DeliverByDownload,
	} {
		method := map[models.DeliveryChannel]models.OnboardingMethod{models.DeliverToOperator: models.Manual, models.DeliverByDownload: models.OTPDownload}[channel]
		_, err := p.api.CreateDevice(ctx, api.DeviceCreation{Name: name, Domain: domainName, Onboarding: api.OnboardingArming{Method: method}})
		p.must(err)
		ordered, err := p.api.CreateDelivery(ctx, name, api.DeliveryCreation{Channel: channel})
		p.must(err)
		for deadline := time.Now().Add(20 * time.Second); ordered.State != models.DeliveryReady && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			found, err := p.api.FindDelivery(ctx, ordered.ID)
			p.must(err)
			ordered.State = found.State
		}
		switch name {
		case "fetched":
			_, err = p.api.CollectDelivery(ctx, ordered.ID, api.DeliveryCollection{Format: models.FormatPKCS12, Password: "correct horse battery"})
		case "withdrawn":
			_, err = p.api.WithdrawDelivery(ctx, ordered.ID)
		}
		p.must(err)
	}
}

// awaitListed waits until the CRL of a CA has so many entries.
func (p *plant) awaitListed(t *testing.T, name string, entries int) {
	t.Helper()
	ca, err := p.api.FindCA(t.Context(), name)
	p.must(err)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get("http://" + p.HTTP + "/crl/" + ca.KeyID + ".crl")
		p.must(err)
		der, err := io.ReadAll(answer.Body)
		p.must(err)
		p.must(answer.Body.Close())
		if crl, err := x509.ParseRevocationList(der); err == nil && len(crl.RevokedCertificateEntries) >= entries {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the CRL of %s has not %d entries: %s", name, entries, answer.Status)
		}
	}
}
