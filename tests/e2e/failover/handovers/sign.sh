# Runs a node with the key, above all that was ever signed with it: sh sign.sh NODE ARGUMENTS. Its signing state travels with the
# key, for it is on a volume that every member has. What it begins and ends it writes down there, and what it signs its node does.
set -eu
state=/shared/priv_validator_state.json

# The highest height that may have been signed.
signed() {
  last=0
  while read -r name value; do
    case $name in
      *'"height":') value=${value#\"}; last=${value%%\"*} ;;
    esac
  done <$state
  echo "$last"
}

note() {
  read -r now _ </proc/uptime
  echo "$1 $MEMBER $MAINSTAY_EPOCH $(signed) $now" >>/shared/journal
}

last=$(signed)
[ "$last" -ge "$MAINSTAY_FLOOR" ] || last=$MAINSTAY_FLOOR
printf '{"height": "%s", "round": 0, "step": 0}\n' $((last + 1)) >/shared/next
mv /shared/next $state
note start
node=
trap '[ -z "$node" ] || kill -TERM "$node" 2>/dev/null || :' TERM
"$@" >>"/shared/$MEMBER-$MAINSTAY_EPOCH.log" 2>&1 &
node=$!
# A signal ends the wait, and not the node.
while kill -0 "$node" 2>/dev/null; do wait "$node" || :; done
note stop
