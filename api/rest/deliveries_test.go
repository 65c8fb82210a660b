// SPDX-License-Identifier: MIT

package rest

import (
	"net/http"
	"testing"
)

func TestADeliveryIsFetchedOnce(t *testing.T) {
	w := small(t)
	order := call{as: "operator", method: "POST", path: "/devices/alpha-device/deliveries", body: `{"channel":"operator"}`}
	first := text(w.do(order), "id")
	fetch := send("POST", "/deliveries/"+first+"/collection", `{"format":"pkcs12","password":"a few words together"}`, 200,
		`"file_name":"device.pkcs12"`, `"content":"ZmlsZQ=="`, `"state":"delivered"`)
	fetch.header = http.Header{"Idempotency-Key": {"one"}} // of no effect: nothing is kept of a password or a key
	w.expect(t, fetch)
	fetch.status, fetch.with = 409, []string{"delivered"}
	w.expect(t, fetch)
	w.expect(t, get("/deliveries/"+first, 200, `"state":"delivered"`))
	second := text(w.do(order), "id")
	w.expect(t, send("DELETE", "/deliveries/"+second, "", 200, `"state":"withdrawn"`, `"reason":"withdrawn by an operator"`))
	w.expect(t, send("DELETE", "/deliveries/"+second, "", 409))
	order.body = `{"channel":"download"}`
	third := text(w.do(order), "id")
	w.expect(t, send("POST", "/deliveries/"+third+"/collection", `{"format":"pkcs12","password":"a few words together"}`, 403, "goes to its device by download"))
}

func TestTheCodeIsShownOnce(t *testing.T) {
	w := small(t)
	order := call{as: "operator", method: "POST", path: "/devices/alpha-device/deliveries", body: `{"channel":"download"}`, header: http.Header{"Idempotency-Key": {"one"}}}
	if code := text(w.do(order), "code"); code == "" {
		t.Fatal("there is no code")
	}
	again := w.do(order)
	if again.Code != http.StatusCreated || text(again, "code") != "" || text(again, "note") == "" {
		t.Errorf("the copy got %d %s", again.Code, again.Body)
	}
}
