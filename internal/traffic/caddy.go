package traffic

import (
	"fmt"
	"strings"
)

// caddy writes a Caddyfile. https://caddyserver.com/docs/caddyfile/directives/reverse_proxy
func caddy(s Split) string {
	var hosts, weights []string
	for _, b := range s.live() {
		hosts, weights = append(hosts, b.address()), append(weights, fmt.Sprint(b.Weight/s.unit()))
	}
	policy := "lb_policy weighted_round_robin " + strings.Join(weights, " ")
	if s.Sticky {
		policy = fmt.Sprintf("lb_policy cookie %s {\n\t\t\tfallback weighted_round_robin %s\n\t\t}", s.cookie(), strings.Join(weights, " "))
	}
	return fmt.Sprintf(`{
	admin unix//tmp/caddy.sock
	persist_config off
	auto_https off
	servers {
		trusted_proxies static private_ranges
	}
}

(split) {
	reverse_proxy %s {
		%s
	}
}

:%d {
	import split
}

:%d {
	header %s %s
	import split
}
`, strings.Join(hosts, " "), policy, s.Port, s.ownPort(), splitHeader, s.shares())
}

// unit is the largest number that divides all weights: requests go round in as few as can be.
func (s Split) unit() int {
	unit := 0
	for _, b := range s.live() {
		for n := b.Weight; n != 0; {
			unit, n = n, unit%n
		}
	}
	return unit
}

// cookie is that of a service: what listens at several ports of a machine shares all cookies.
func (s Split) cookie() string {
	return "split_" + strings.ReplaceAll(s.Service, "-", "_")
}
