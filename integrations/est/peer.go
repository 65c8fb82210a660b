// SPDX-License-Identifier: MIT

package est

import (
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/trustloom/trustloom/models"
)

// The bounds of HTTP Basic credentials, in octets.
const (
	maxUsername = 256
	maxPassword = 1024
)

// PeerOf collects what the transport knows about the sender. Headers that a
// proxy might add are not looked at: anyone can send them. It is
// KindUnauthenticated if there are credentials that cannot be read, so that a
// broken proof never becomes the absence of one.
func PeerOf(r *http.Request, requestID string) (Peer, error) {
	peer := Peer{Address: r.RemoteAddr, RequestID: requestID}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		peer.Address = host
	}
	if r.TLS != nil {
		peer.Certificates = r.TLS.PeerCertificates
	}
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return peer, nil
	}
	username, password, ok := parseBasic(values)
	if !ok {
		return Peer{}, models.Errorf(models.KindUnauthenticated,
			"the Authorization header cannot be read; use HTTP Basic with the device's name and password")
	}
	peer.Username, peer.Password, peer.HasBasic = username, password, true
	return peer, nil
}

// parseBasic reads the credentials of RFC 7617: user name, colon, password in
// UTF-8, without control characters.
func parseBasic(values []string) (username, password string, ok bool) {
	scheme, encoded, found := strings.Cut(values[0], " ")
	if len(values) != 1 || !found || !strings.EqualFold(scheme, "Basic") ||
		base64.StdEncoding.DecodedLen(len(encoded)) > maxUsername+maxPassword+4 {
		return "", "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil || !utf8.Valid(decoded) || strings.ContainsFunc(string(decoded), unicode.IsControl) {
		return "", "", false
	}
	username, password, found = strings.Cut(string(decoded), ":")
	return username, password, found && len(username) <= maxUsername && len(password) <= maxPassword
}
