#!/usr/bin/env bash
# Makes a page of what the scenarios of failing over said: report.sh KIND LOG [KIND LOG ...]
set -euo pipefail

# Of everything but the page itself, which is being written.
tree=$(git rev-parse --short HEAD)
git diff --quiet HEAD -- . ':(exclude)docs/failover/report.md' || tree+=-dirty

echo '# What the scenarios of failing over said'
echo
echo "The last run of \`make e2e-failover-full\`, of $(date -u +%Y-%m-%d), on $(nproc) cores with a load of"
echo "$(cut -d' ' -f1-3 /proc/loadavg) at its end; Mainstay $tree, Kubernetes 1.36.3, two nodes on one machine, a block each 500 ms,"
echo 'a window of 12 heights. After every scenario the oracle reads the logs of both gates (no height, round and type with two'
echo 'blocks, no height of two epochs), and every write of the record is played again through the function that the model checker has'
echo 'checked. The scenarios of `naive` are the controls: there the same oracle must cry. Those of `handovers` have no gate: there the'
echo 'oracle reads the logs of the nodes themselves and all blocks, and watches who has the key.'
while (($#)); do
  echo
  echo "## $1"
  awk '
    # Not where on this machine things were.
    { gsub(/KUBECONFIG="[^"]*" "[^"]*\/mainstay"/, "mainstay") }
    /^The picture: / || /^Remove it: / { next }
    /^test result:/ { result = $0; next }
    /^test .* has been running/ { next }
    /^test failover::/ {
      name = $2; sub(/^failover::/, "", name); gsub(/_/, " ", name)
      line = $0; sub(/^test [^ ]+ \.\.\. ?/, "", line)
      printf "\n**%s**\n\n", name
      open = 1
      if (line == "ok" || line == "FAILED") { print "- *" line "*"; open = 0 } else if (line != "") print "- " line
      next
    }
    open && ($0 == "ok" || $0 == "FAILED") { print "- *" $0 "*"; open = 0; next }
    open && /^— / { sub(/^— /, ""); print "- " $0; next }
    open && /^[a-zA-Z ]+: / && !/INFO|WARN|ERROR/ { print "- " $0 }
    END { if (result != "") { sub(/^test result: /, "", result); print "\nIn all: " result } }
  ' "$2"
  shift 2
done
