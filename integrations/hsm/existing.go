// SPDX-License-Identifier: MIT

package hsm

import (
	"context"
	"crypto"
	"fmt"

	"github.com/ThalesGroup/crypto11"

	"github.com/trustloom/trustloom/models"
)

// Existing returns a key of the token that others made, such as that of an
// IDevID, by its CKA_ID, by its CKA_LABEL, or by both; one of them may be
// empty. No such key is KindNotFound, several are KindConflict. The token needs
// the public half, or a certificate, with the same CKA_ID. Such a key is only
// signed with, as Signer says: neither Generate nor Destroy know it.
func (s *PKCS11) Existing(ctx context.Context, id, label []byte) (crypto.Signer, error) {
	if len(id) == 0 && len(label) == 0 {
		return nil, models.Errorf(models.KindInvalid, "name the key in the token by its CKA_ID or its CKA_LABEL")
	}
	if err := checkContext(ctx); err != nil {
		return nil, err
	}
	name := "with" // no identifier has spaces
	if len(id) > 0 {
		name += fmt.Sprintf(" CKA_ID %x", id)
	}
	if len(label) > 0 {
		name += fmt.Sprintf(" CKA_LABEL %s", label)
	}
	locate := func(ctx context.Context, c *connection, name string) (crypto11.Signer, error) {
		return s.locateExisting(ctx, c, name, id, label)
	}
	return call(ctx, s, signWait, func(ctx context.Context, c *connection) (crypto.Signer, error) {
		key, err := s.prove(ctx, c, name, locate)
		if err != nil {
			return nil, err
		}
		return &tokenSigner{store: s, id: name, locate: locate, public: key.Public()}, nil
	})
}

func (s *PKCS11) locateExisting(ctx context.Context, c *connection, name string, id, label []byte) (crypto11.Signer, error) {
	found, err := c.token.FindKeyPairs(id, label)
	if err == nil && len(found) == 0 {
		// An empty list is also what a token shows that is not there.
		if err := s.probe(ctx, c); err != nil {
			return nil, err
		}
		if halves, err := c.token.FindPrivateKeys(id, label); err == nil && len(halves) > 0 {
			return nil, models.Errorf(models.KindConflict, "the key %s is in the PKCS#11 token %q without its public half or certificate, which has to be there under the same CKA_ID",
				name, s.cfg.name())
		}
		found, err = c.token.FindKeyPairs(id, label)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("find key %s: %w", name, err)
	case len(found) == 0:
		return nil, notFound(name)
	case len(found) > 1:
		return nil, models.Errorf(models.KindConflict, "the PKCS#11 token %q has %d keys %s; name both, so that one remains",
			s.cfg.name(), len(found), name)
	}
	return found[0], nil
}
