// SPDX-License-Identifier: MIT

package enroll

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"github.com/trustloom/trustloom/models"
)

// The one-time codes of downloads: 16 characters of an alphabet without
// letters that look like digits or like each other, in groups of four. 80
// random bits need no slow hash, whatever is read out of the database.
const (
	codeAlphabet = "0123456789abcdefghjkmnpqrstvwxyz" // Crockford's base 32
	codeLength   = 16
	codeGroup    = 4
)

// newCode returns a fresh code, as it is read out and typed in.
func newCode() string {
	raw := make([]byte, codeLength)
	rand.Read(raw)
	var b strings.Builder
	for i, octet := range raw {
		if i > 0 && i%codeGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(codeAlphabet[octet%32]) // 256 is a multiple of 32
	}
	return b.String()
}

// readCode brings what a person typed into the form of a code without its
// groups: capitals, spaces and hyphens do not matter, nor does o for 0, i or l
// for 1. It is KindInvalid if that has not the shape of a code.
func readCode(typed string) (string, error) {
	wrong := models.Errorf(models.KindInvalid, "A code has %d letters and digits, such as 7k2m-p0xq-94ht-v6zd. Please look at it again.", codeLength)
	if len(typed) > 64 {
		return "", wrong
	}
	code := strings.NewReplacer("-", "", " ", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(typed))
	for _, c := range []byte(code) {
		if strings.IndexByte(codeAlphabet, c) < 0 {
			return "", wrong
		}
	}
	if len(code) != codeLength {
		return "", wrong
	}
	return code, nil
}

// hashCode returns what is kept of a code: a hash that is of use for its
// delivery only.
func hashCode(id models.DeliveryID, code string) []byte {
	plain := strings.ReplaceAll(code, "-", "")
	sum := sha256.Sum256([]byte("trustloom delivery code\x00" + string(id) + "\x00" + plain))
	return sum[:]
}

// ghosts count wrong codes for downloads that do not exist, so that their
// answers are those of one that does and nobody learns which devices there
// are. They are kept in memory, within bounds: the oldest are forgotten.
type ghosts struct {
	mu    sync.Mutex
	known map[[32]byte]*ghost
	order [][32]byte
}

type ghost struct {
	tries int
	until time.Time
}

const maxGhosts = 4096

// wrong counts a wrong code for a name and returns how many tries are left.
func (g *ghosts) wrong(name string, now time.Time, life time.Duration) (left int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := sha256.Sum256([]byte(name))
	entry := g.known[key]
	if entry == nil {
		if g.known == nil {
			g.known = map[[32]byte]*ghost{}
		}
		if len(g.order) == maxGhosts {
			delete(g.known, g.order[0])
			g.order = g.order[1:]
		}
		entry = &ghost{}
		g.known[key], g.order = entry, append(g.order, key)
	}
	if !now.Before(entry.until) {
		entry.tries, entry.until = models.DeliveryTries, now.Add(life)
	}
	entry.tries = max(entry.tries-1, 0)
	return entry.tries
}
