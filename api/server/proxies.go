// SPDX-License-Identifier: MIT

package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks of the reverse proxies whose word about the
// client's address is taken.
type Proxies []netip.Prefix

// ParseProxies reads networks ("10.0.0.0/8") and single addresses.
func ParseProxies(values []string) (Proxies, error) {
	proxies := make(Proxies, 0, len(values))
	for _, value := range values {
		if ip, err := netip.ParseAddr(value); err == nil {
			proxies = append(proxies, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(value)
		if err != nil || prefix.Bits() == 0 {
			return nil, fmt.Errorf("%q is not the address of a proxy or its network, such as 10.0.0.7 or 10.0.0.0/24", value)
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

func (p Proxies) trust(ip netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// maxHops bounds how much of X-Forwarded-For is read, from its end.
const maxHops = 16

// handler sets RemoteAddr to the client's address where a trusted proxy tells
// it, and removes the header otherwise: nothing behind it looks at the header,
// so that nobody is deceived by what anybody can send.
func (p Proxies) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && p.trust(peer.Addr()) {
			if client, ok := p.client(r.Header.Values("X-Forwarded-For")); ok {
				r.RemoteAddr = net.JoinHostPort(client.String(), "0")
			}
		}
		r.Header.Del("X-Forwarded-For")
		r.Header.Del("Forwarded")
		next.ServeHTTP(w, r)
	})
}

// client returns the last address that no trusted proxy has. What stands
// before it was written by that one, and may be invented.
func (p Proxies) client(values []string) (netip.Addr, bool) {
	hops := strings.Split(strings.Join(values, ","), ",")
	for i := len(hops) - 1; i >= max(0, len(hops)-maxHops); i-- {
		ip, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return netip.Addr{}, false
		}
		if !p.trust(ip) {
			return ip.Unmap().WithZone(""), true
		}
	}
	return netip.Addr{}, false
}
