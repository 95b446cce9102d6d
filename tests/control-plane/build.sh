#!/usr/bin/env bash
# Builds the control plane that the tests run against: Kubernetes with etcd,
# kwok (nodes and pods without machines) and the two job operators, all from Go
# modules, each in a module of its own because each needs another Kubernetes
# version. Result:
#
#   $MUSTER_CONTROL_PLANE_DIR (default: target/control-plane)
#     bin/   kubernetes, kwok, training-operator, mpi-operator, and the links
#            etcd, kube-apiserver, ... to kubernetes
#     crds/  the operators' CustomResourceDefinitions, one folder each
#
# A binary whose module did not change is not built again. When
# MUSTER_CONTROL_PLANE_DIR names another folder than the default and that is
# already complete, it is used as it is, and Go is not needed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
own=$repo/target/control-plane
out=${MUSTER_CONTROL_PLANE_DIR:-$own}
parallel=${MUSTER_GO_PARALLEL:-2}

modules=(kubernetes kwok training-operator mpi-operator)
links=(etcd kube-apiserver kube-controller-manager kube-scheduler kubectl)

# The version that the Kubernetes binaries report; without these flags they say
# "v0.0.0-master".
version=$(awk '$1 == "k8s.io/kubernetes" {print $2}' "$here/kubernetes/go.mod")
minor=${version#v1.}
reported=k8s.io/component-base/version
ldflags="-s -w -X $reported.gitVersion=$version -X $reported.gitMajor=1 -X $reported.gitMinor=${minor%%.*}"

say() { printf 'control-plane: %s\n' "$*"; }
fail() { printf 'control-plane: %s\n' "$*" >&2; exit 1; }

# The Go package that makes a module's binary.
package_of() {
	case $1 in
		kwok) echo sigs.k8s.io/kwok/cmd/kwok ;;
		*) echo . ;;
	esac
}

# Where a module's CustomResourceDefinitions lie: "go module<space>files inside it".
crds_of() {
	case $1 in
		training-operator) echo 'github.com/kubeflow/training-operator manifests/base/crds/kubeflow.org_*.yaml' ;;
		mpi-operator) echo 'github.com/kubeflow/mpi-operator manifests/base/kubeflow.org_mpijobs.yaml' ;;
	esac
}

inputs_of() {
	(cd "$here/$1" && cat go.mod go.sum && find . -name '*.go' -print0 | sort -z | xargs -0 -r cat && echo "$ldflags") \
		| sha256sum | cut -d' ' -f1
}

is_built() { [[ -x $out/bin/$1 && -f $out/stamps/$1 ]]; }
is_current() { is_built "$1" && [[ $(<"$out/stamps/$1") == "$(inputs_of "$1")" ]]; }

copy_crds() {
	local module files source
	[[ -n $(crds_of "$1") ]] || return 0
	read -r module files < <(crds_of "$1")
	source=$(cd "$here/$1" && go list -m -f '{{.Dir}}' "$module")
	mkdir -p "$out/crds/$1"
	# shellcheck disable=SC2086 # the pattern is meant to expand
	(cd "$source" && install -m 0644 $files "$out/crds/$1/")
}

build() {
	local started=$SECONDS
	say "building $1 (a first build takes minutes) ..."
	# The stamp goes first and comes last, so that a broken build is not taken for a good one.
	rm -f "$out/stamps/$1"
	(cd "$here/$1" && CGO_ENABLED=0 go build -mod=readonly -trimpath -buildvcs=false -p "$parallel" \
		-ldflags "$ldflags" -o "$out/bin/$1" "$(package_of "$1")")
	copy_crds "$1"
	inputs_of "$1" >"$out/stamps/$1"
	say "built $1 in $((SECONDS - started)) s"
}

need_go() {
	local wanted
	wanted=$(awk '$1 == "go" {print $2}' "$here/kubernetes/go.mod")
	command -v go >/dev/null || fail "the 'go' command is missing: install Go $wanted or newer, \
or set MUSTER_CONTROL_PLANE_DIR to a folder that this script filled elsewhere"
}

make_links() {
	local name
	for name in "${links[@]}"; do
		ln -sfn kubernetes "$out/bin/$name"
	done
}

stale=()
incomplete=no
for module in "${modules[@]}"; do
	is_current "$module" || stale+=("$module")
	is_built "$module" || incomplete=yes
done

if [[ ${#stale[@]} -eq 0 ]]; then
	say "up to date in $out"
elif [[ $out != "$own" && $incomplete == no ]]; then
	say "using $out as it is; built from other sources than these: ${stale[*]}"
else
	need_go
	mkdir -p "$out/bin" "$out/stamps"
	for module in "${stale[@]}"; do
		build "$module"
	done
	make_links
	say "ready in $out"
fi
