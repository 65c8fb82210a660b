// SPDX-License-Identifier: MIT

package hsm

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/trustloom/trustloom/models"
)

// Importer is a KeyStore that takes keys which were made elsewhere. Both
// stores do.
type Importer interface {
	// Import stores key under id. It is idempotent: the same key again is no
	// error. A key that is there stays as it is: another one under the same id
	// is KindConflict. A store, or a token, that does not take such keys from
	// outside is KindInvalid. Where the key was before, it still is.
	Import(ctx context.Context, id string, key crypto.Signer) error
}

// Import implements Importer.
func (s *Software) Import(ctx context.Context, id string, key crypto.Signer) error {
	if err := checkCall(ctx, id); err != nil {
		return err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return models.Errorf(models.KindInvalid, "a key of type %T cannot be kept in this key store", key)
	}
	defer clear(plain)
	unlock, err := s.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	stored, err := s.load(id)
	if models.KindOf(err) == models.KindNotFound {
		stored, err = s.write(id, plain)
	}
	if err != nil {
		return err
	}
	return sameKey(id, stored.Public(), key.Public())
}

// sameKey is KindConflict unless the key that is there is the one to import.
func sameKey(id string, stored, imported crypto.PublicKey) error {
	if key, ok := stored.(interface{ Equal(crypto.PublicKey) bool }); ok && key.Equal(imported) {
		return nil
	}
	return models.Errorf(models.KindConflict, "there is another key %q in this key store", id)
}

// Import implements Importer. The key becomes as sensitive as one made in the
// token, and not extractable. Ed25519 is KindInvalid, and so is what the token
// does not take: many in a certified mode only let keys in that they made.
func (s *PKCS11) Import(ctx context.Context, id string, key crypto.Signer) error {
	if err := checkCall(ctx, id); err != nil {
		return err
	}
	public, private, err := objects(id, key)
	if err != nil {
		return err
	}
	_, err = call(ctx, s, signWait, func(ctx context.Context, c *connection) (struct{}, error) {
		unlock, err := s.lockKey(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		defer unlock()
		stored, err := s.settle(ctx, c, id, func() (removable, error) { return s.store(ctx, c, public, private) })
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, sameKey(id, stored.Public(), key.Public())
	})
	if isUnsupported(err) {
		return models.Errorf(models.KindInvalid, "the PKCS#11 token %q does not take this key from outside; create the CA with its key in the token, and have its request signed instead",
			s.cfg.name()).Because(err)
	}
	return err
}

type attributes = []*pkcs11.Attribute

// objects describes the two halves of a key: as templates does, with the
// numbers of the key.
func objects(id string, key crypto.Signer) (public, private attributes, err error) {
	names := attributes{
		pkcs11.NewAttribute(pkcs11.CKA_ID, []byte(id)),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, []byte(Label(id))),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
	}
	public = append(public, names...)
	public = append(public, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true), pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, false), pkcs11.NewAttribute(pkcs11.CKA_WRAP, false))
	private = append(private, names...)
	private = append(private, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, false), pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, false))
	var publicNumbers, privateNumbers attributes
	switch k := key.(type) {
	case *rsa.PrivateKey:
		publicNumbers, privateNumbers, err = rsaNumbers(k)
	case *ecdsa.PrivateKey:
		publicNumbers, privateNumbers, err = ecNumbers(k)
	default:
		err = models.Errorf(models.KindInvalid, "this key store takes RSA and EC keys only; use the key store %q", models.StoreSoftware)
	}
	return append(public, publicNumbers...), append(private, privateNumbers...), err
}

func rsaNumbers(k *rsa.PrivateKey) (public, private attributes, err error) {
	if len(k.Primes) != 2 {
		return nil, nil, models.Errorf(models.KindInvalid, "the RSA key has %d primes instead of two", len(k.Primes))
	}
	k.Precompute()
	exponent := []byte{byte(k.E >> 24), byte(k.E >> 16), byte(k.E >> 8), byte(k.E)}
	for len(exponent) > 1 && exponent[0] == 0 {
		exponent = exponent[1:]
	}
	public = attributes{
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA),
		pkcs11.NewAttribute(pkcs11.CKA_MODULUS, k.N.Bytes()), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, exponent),
	}
	private = append(append(private, public...),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE_EXPONENT, k.D.Bytes()),
		pkcs11.NewAttribute(pkcs11.CKA_PRIME_1, k.Primes[0].Bytes()), pkcs11.NewAttribute(pkcs11.CKA_PRIME_2, k.Primes[1].Bytes()),
		pkcs11.NewAttribute(pkcs11.CKA_EXPONENT_1, k.Precomputed.Dp.Bytes()), pkcs11.NewAttribute(pkcs11.CKA_EXPONENT_2, k.Precomputed.Dq.Bytes()),
		pkcs11.NewAttribute(pkcs11.CKA_COEFFICIENT, k.Precomputed.Qinv.Bytes()))
	return public, private, nil
}

// curveParameters are the named curves as CKA_EC_PARAMS has them: an OBJECT
// IDENTIFIER in DER.
var curveParameters = map[string][]byte{
	"P-256": {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7},
	"P-384": {6, 5, 0x2b, 0x81, 4, 0, 0x22},
	"P-521": {6, 5, 0x2b, 0x81, 4, 0, 0x23},
}

func ecNumbers(k *ecdsa.PrivateKey) (public, private attributes, err error) {
	parameters, known := curveParameters[k.Curve.Params().Name]
	if !known {
		return nil, nil, models.Errorf(models.KindInvalid, "the elliptic curve %s is not supported", k.Curve.Params().Name)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		return nil, nil, fmt.Errorf("encode public key: %w", err)
	}
	scalar, err := k.Bytes()
	if err != nil {
		return nil, nil, errors.New("encode private key") // the cause may quote it
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddBytes(point) })
	encoded, err := b.Bytes()
	if err != nil {
		return nil, nil, fmt.Errorf("encode public key: %w", err)
	}
	common := attributes{pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC), pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, parameters)}
	public = append(append(public, common...), pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, encoded))
	private = append(append(private, common...), pkcs11.NewAttribute(pkcs11.CKA_VALUE, scalar))
	return public, private, nil
}

// store makes the two halves of a key in the token. The public one comes first:
// if nothing follows, the key does not exist, and the next attempt clears the
// public half away.
func (s *PKCS11) store(ctx context.Context, c *connection, public, private attributes) (removable, error) {
	made := &imported{store: s, connection: c}
	err := s.direct(ctx, c, func(module *pkcs11.Ctx, session pkcs11.SessionHandle) error {
		if err := clearHalves(module, session, public[:2]); err != nil {
			return err
		}
		for _, half := range []attributes{public, private} {
			handle, err := module.CreateObject(session, half)
			if err != nil {
				return errors.Join(fmt.Errorf("store key: %w", err), destroy(module, session, made.handles))
			}
			made.handles = append(made.handles, handle)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// clearHalves destroys the public keys with these names. It is called where
// there is no private one.
func clearHalves(module *pkcs11.Ctx, session pkcs11.SessionHandle, names attributes) error {
	template := append(attributes{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY)}, names...)
	if err := module.FindObjectsInit(session, template); err != nil {
		return fmt.Errorf("look for halves of keys: %w", err)
	}
	found, _, err := module.FindObjects(session, 16)
	if err := errors.Join(err, module.FindObjectsFinal(session)); err != nil {
		return fmt.Errorf("look for halves of keys: %w", err)
	}
	return destroy(module, session, found)
}

func destroy(module *pkcs11.Ctx, session pkcs11.SessionHandle, handles []pkcs11.ObjectHandle) (err error) {
	for _, handle := range handles {
		err = errors.Join(err, module.DestroyObject(session, handle))
	}
	return err
}

// imported is a key that was just stored and may have to be taken back.
type imported struct {
	store      *PKCS11
	connection *connection
	handles    []pkcs11.ObjectHandle
}

// Delete implements removable.
func (i *imported) Delete() error {
	return i.store.direct(context.Background(), i.connection, func(module *pkcs11.Ctx, session pkcs11.SessionHandle) error {
		return destroy(module, session, i.handles)
	})
}

// direct gives do a session with the token that crypto11 does not know of,
// which has no way to create an object. It is the one session that is kept
// back for looking whether the token is there. The login is that of the
// process; while conn lives, the module stays initialised.
func (s *PKCS11) direct(ctx context.Context, conn *connection, do func(*pkcs11.Ctx, pkcs11.SessionHandle) error) error {
	select {
	case s.probing <- struct{}{}:
		defer func() { <-s.probing }()
	case <-ctx.Done():
		return checkContext(ctx)
	}
	if conn.retired.Load() {
		return errRetired
	}
	module := pkcs11.New(s.cfg.Module)
	if module == nil {
		return fmt.Errorf("%w: the module cannot be loaded", errAway)
	}
	defer module.Destroy()
	slot, err := s.slot(module)
	if err != nil {
		return err
	}
	session, err := module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	defer func() { _ = module.CloseSession(session) }()
	return do(module, session)
}

// slot finds the token.
func (s *PKCS11) slot(module *pkcs11.Ctx) (uint, error) {
	if s.cfg.Slot != nil {
		return uint(*s.cfg.Slot), nil
	}
	slots, err := module.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("list slots: %w", err)
	}
	for _, slot := range slots {
		if info, err := module.GetTokenInfo(slot); err == nil && info.Label == s.cfg.TokenLabel {
			return slot, nil
		}
	}
	return 0, errAway
}
