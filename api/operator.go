// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"github.com/trustloom/trustloom/models"
)

// Operator is a person, or a program acting for one. Approvals count
// operators, not tokens.
type Operator struct {
	ID        string    `json:"id"`
	Name      string    `json:"name" example:"alice"`
	Disabled  bool      `json:"disabled"`
	CreatedAt time.Time `json:"created_at"`
}

// Token is a bearer token of an operator. Token is in the answer that created
// it and in no other.
type Token struct {
	ID        string      `json:"id"`
	Name      string      `json:"name" example:"line-3"`
	Operator  string      `json:"operator" example:"alice"`
	Role      models.Role `json:"role"`
	Domains   []string    `json:"domains" doc:"names of the domains that it sees; empty means all" example:"press-shop"`
	Token     string      `json:"token,omitempty" secret:"true" doc:"the token itself, shown once"`
	Note      string      `json:"note,omitempty" doc:"set when an answer is replayed without the token"`
	ExpiresAt *time.Time  `json:"expires_at,omitzero"`
	RevokedAt *time.Time  `json:"revoked_at,omitzero"`
	CreatedAt time.Time   `json:"created_at"`
}

// TokenCreation asks for a token.
type TokenCreation struct {
	Name      string          `json:"name" example:"line-3"`
	Role      models.Role     `json:"role"`
	Operator  string          `json:"operator,omitempty" doc:"the token's name unless given; created if there is none" example:"alice"`
	Domains   []string        `json:"domains,omitempty" doc:"names of the domains that it sees; all unless given" example:"press-shop"`
	ExpiresIn models.Duration `json:"expires_in,omitzero" doc:"never unless given" example:"30d"`
}
