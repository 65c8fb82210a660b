// SPDX-License-Identifier: MIT

package e2e

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trustloom/trustloom/api"
	"github.com/trustloom/trustloom/models"
	"github.com/trustloom/trustloom/models/store"
	"github.com/trustloom/trustloom/test/fixture"
)

var screenshots = flag.String("screenshots", "", "folder for pictures of the pages that the tests see")

const (
	downloadPassword = "correct horse battery staple"
	wrongCode        = "zzzz-zzzz-zzzz-zzzz"
)

// visitor is a person at a device, with a browser on the public page.
type visitor struct {
	*fixture.Browser
	t    *testing.T
	p    *plant
	rows *store.Store // a look into the server's database
}

func (v *visitor) picture(name string) {
	if *screenshots != "" {
		v.Screenshot(filepath.Join(*screenshots, name+".png"))
	}
}

// order registers a device and orders its download.
func (v *visitor) order(name string) *api.Delivery {
	v.t.Helper()
	must(v.p.api.CreateDevice(background(), api.DeviceCreation{Name: name, Domain: "press-shop", Onboarding: api.OnboardingArming{Method: models.OTPDownload}}))(v.t)
	d := must(v.p.api.CreateDelivery(background(), name, api.DeliveryCreation{Channel: models.DeliverByDownload}))(v.t)
	if d.State != models.DeliveryReady || d.Code == "" {
		v.t.Fatalf("the delivery is %+v", d)
	}
	return d
}

// type types into the form.
func (v *visitor) fill(device, code string) {
	v.t.Helper()
	v.Open("https://" + v.p.HTTPS + "/download")
	v.Fill("#device", device)
	v.Fill("#code", code)
	v.Fill("#password", downloadPassword)
	v.Fill("#again", downloadPassword)
}

// refused presses the button and reads what the page says.
func (v *visitor) refused(device, code, says string) {
	v.t.Helper()
	v.fill(device, code)
	v.Click("button")
	if text := v.Text("#error"); !strings.Contains(text, says) {
		v.t.Errorf("the page says %q, want %q", text, says)
	}
}

func (v *visitor) state(d *api.Delivery) models.DeliveryState {
	v.t.Helper()
	return must(v.p.api.FindDelivery(background(), d.ID))(v.t).State
}

func (v *visitor) sealed(d *api.Delivery) []byte {
	v.t.Helper()
	return must(v.rows.FindSealedKey(background(), models.DeliveryID(d.ID)))(v.t)
}

// Acceptance 4: a one-time code in a real browser.
func TestDownloadInABrowser(t *testing.T) {
	i := start(t)
	v := &visitor{Browser: fixture.NewBrowser(t), t: t, p: newPlant(t, i, models.StoreSoftware), rows: fixture.Open(t, "sqlite:"+filepath.Join(i.Dir, "trustloom.db"))}
	var codes []string
	var keys [][]byte
	ordered := func(name string) *api.Delivery {
		d := v.order(name)
		codes, keys = append(codes, d.Code), append(keys, v.sealed(d))
		return d
	}
	t.Run("the right code, once", func(t *testing.T) {
		v.t = t
		d := ordered("drive-08")
		v.fill("drive-08", strings.ToUpper(d.Code))
		v.picture("form")
		v.Choose("input[value='pkcs12']")
		name, content := v.Download("button")
		if name != "drive-08-domain_credential.p12" || v.state(d) != models.DeliveryDelivered {
			t.Errorf("the file is %s, the delivery %s", name, v.state(d))
		}
		dev := &device{t: t, dir: t.TempDir()}
		dev.write("file.p12", content)
		if out := dev.openssl("pkcs12", "-in", "file.p12", "-passin", "pass:"+downloadPassword, "-nodes"); !strings.Contains(out, "BEGIN PRIVATE KEY") || !strings.Contains(out, "CN = drive-08") {
			t.Errorf("the file holds:\n%s", out)
		}
		v.refused("drive-08", d.Code, "downloaded already")
		v.picture("downloaded-already")
	})
	t.Run("a wrong code three times", func(t *testing.T) {
		v.t = t
		d := ordered("drive-09")
		v.refused("drive-09", wrongCode, "You have 2 more tries")
		v.picture("wrong-code")
		v.refused("drive-09", wrongCode, "one more try")
		v.refused("drive-09", wrongCode, "locked")
		v.picture("locked")
		v.refused("drive-09", d.Code, "locked")
		if v.state(d) != models.DeliveryLocked {
			t.Errorf("the delivery is %s", v.state(d))
		}
	})
	t.Run("too late", func(t *testing.T) {
		v.t = t
		d := ordered("drive-10")
		check(t, v.rows.Write(background(), func(tx *store.Tx) error {
			row, err := tx.FindDelivery(background(), models.DeliveryID(d.ID))
			if err != nil {
				return err
			}
			row.ExpiresAt = time.Now().Add(-time.Second)
			return tx.SaveDelivery(row)
		}))
		v.refused("drive-10", d.Code, "time for this download is over")
	})
	t.Run("nobody hears which devices there are", func(t *testing.T) {
		v.t = t
		v.refused("no-such-device", wrongCode, "You have 2 more tries")
	})
	v.t = t
	v.leavesNoTrace(i, codes, keys)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// leavesNoTrace looks for codes and keys where they must not be.
func (v *visitor) leavesNoTrace(i *instance, codes []string, keys [][]byte) {
	v.t.Helper()
	if complaints := v.Complaints(); len(complaints) != 0 {
		v.t.Errorf("the browser complains: %q", complaints)
	}
	for _, code := range codes {
		if strings.Contains(i.Log.String(), code) || strings.Contains(i.Log.String(), downloadPassword) {
			v.t.Error("a code or a password is in the log")
		}
		for _, address := range v.Addresses() {
			if strings.Contains(strings.ToLower(address), code) || strings.Contains(address, "password") {
				v.t.Errorf("a secret is in the address %s", address)
			}
		}
		for _, file := range []string{"trustloom.db", "temporal/temporal.db"} {
			if bytes.Contains(readAll(v.t, i.Dir, file), []byte(strings.ReplaceAll(code, "-", ""))) {
				v.t.Errorf("a code is in %s", file)
			}
		}
	}
	eventually(v.t, "the keys are gone from the database and from copies of it", 40*time.Second, func() bool {
		copied := readAll(v.t, i.Dir, "trustloom.db")
		for _, key := range keys {
			if bytes.Contains(copied, key[:64]) || bytes.Contains(copied, key[len(key)-64:]) {
				return false
			}
		}
		return true
	})
	if len(keys) != 3 || len(keys[0]) < 128 {
		v.t.Error("the search had nothing to look for: it proves nothing")
	}
}

// write puts a file where the device works.
func (d *device) write(name string, content []byte) {
	d.t.Helper()
	check(d.t, os.WriteFile(filepath.Join(d.dir, name), content, 0o600))
}
