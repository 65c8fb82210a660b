// SPDX-License-Identifier: MIT

package hsm

import (
	"context"
	"crypto"
	"io"
	"time"

	"github.com/ThalesGroup/crypto11"
)

// spoilt is a key in a token that signs something else than it is given.
type spoilt struct{ crypto11.Signer }

func (k spoilt) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	other := append([]byte{^digest[0]}, digest[1:]...)
	return k.Signer.Sign(rand, other, opts)
}

// SpoilSignatures makes the token sign wrongly with the key called id until
// it is opened again.
func SpoilSignatures(s *PKCS11, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, _ := s.conn.cached(id)
	s.conn.remember(id, spoilt{key})
}

// CallThatHangs calls a token that does not answer before answer is closed.
func CallThatHangs(s *PKCS11, limit time.Duration, answer chan struct{}) error {
	_, err := call(context.Background(), s, limit, func(context.Context, *connection) (int, error) {
		<-answer
		return 0, nil
	})
	return err
}
