package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/client"
)

// enginePID is where the engine on this machine keeps its process id.
const enginePID = "/var/run/docker.pid"

// Bridge returns this machine's address on the engine's default network, at which containers, BuildKit and
// the engine itself all reach a registry of this machine, and has the engine speak plain HTTP to it.
func (l *Lab) Bridge(ctx context.Context) (string, error) {
	e, err := newEngine()
	if err != nil {
		return "", err
	}
	network, err := e.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{})
	if err != nil {
		return "", fmt.Errorf("looking for the engine's default network: %w", err)
	}
	for _, config := range network.Network.IPAM.Config {
		gateway := config.Gateway
		if !gateway.IsValid() && config.Subnet.IsValid() {
			gateway = config.Subnet.Masked().Addr().Next() // which older engines take and do not tell
		}
		if gateway.IsValid() && gateway.Is4() {
			return gateway.String(), e.allowPlain(ctx, gateway)
		}
	}
	return "", errors.New("the engine's default network has no gateway")
}

// allowPlain lets the engine speak plain HTTP to an address.
func (e engine) allowPlain(ctx context.Context, address netip.Addr) error {
	if plain, err := e.plain(ctx, address); err != nil || plain {
		return err
	}
	advice := fmt.Sprintf(`put {"insecure-registries": ["%s/32"]} into %s and restart Docker`, address, engineConfig)
	data, err := os.ReadFile(enginePID)
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("the engine speaks no plain HTTP to %s: %s", address, advice)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return fmt.Errorf("reading %s: %w; %s", enginePID, err, advice)
	}
	err = editConfig(engineConfig, func(config map[string]any) {
		list, _ := config["insecure-registries"].([]any)
		config["insecure-registries"] = append(list, address.String()+"/32")
	})
	if err != nil {
		return fmt.Errorf("configuring the engine: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("having the engine read %s: %w; %s", engineConfig, err, advice)
	}
	for range 50 {
		if plain, err := e.plain(ctx, address); err != nil || plain {
			return err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the engine took no notice of %s: %s", engineConfig, advice)
}

// plain reports whether the engine speaks plain HTTP to an address.
func (e engine) plain(ctx context.Context, address netip.Addr) (bool, error) {
	info, err := e.Info(ctx, client.InfoOptions{})
	if err != nil {
		return false, fmt.Errorf("asking the engine for its registries: %w", err)
	}
	if info.Info.RegistryConfig == nil {
		return false, nil
	}
	return slices.ContainsFunc(info.Info.RegistryConfig.InsecureRegistryCIDRs, func(prefix netip.Prefix) bool { return prefix.Contains(address) }), nil
}
