# Runs the node with the key while a file with this member's name says so, and says by another that it may run: sh wait.sh NODE
# ARGUMENTS. Whoever takes the first file away and then does not find the second one knows that it does not run, and will not.
set -eu
may=/shared/may-$MEMBER runs=/shared/runs-$MEMBER
trap 'exit 0' TERM
while :; do
  : >"$runs"
  if [ -e "$may" ]; then
    read -r epoch <"$may"
    MAINSTAY_EPOCH=$epoch MAINSTAY_FLOOR=0 sh /script/sign.sh "$@" &
    child=$!
    while [ -e "$may" ] && kill -0 "$child" 2>/dev/null; do sleep 0.2; done
    kill -TERM "$child" 2>/dev/null || :
    wait "$child" || :
  fi
  rm -f "$runs"
  sleep 0.2
done
