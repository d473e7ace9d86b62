# The owner's own way. `revoke` succeeds only when the former holder can never sign again: it may not, and does not.
set -eu
echo "$MAINSTAY_PHASE $MAINSTAY_EPOCH from=$MAINSTAY_FROM to=$MAINSTAY_TO $MAINSTAY_IDENTITY" >>/shared/jobs
case $MAINSTAY_PHASE in
  revoke)
    rm -f "/shared/may-$MAINSTAY_FROM"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      [ -e "/shared/runs-$MAINSTAY_FROM" ] || exit 0
      sleep 1
    done
    echo "$MAINSTAY_FROM may still run"
    exit 1
    ;;
  activate)
    echo "$MAINSTAY_EPOCH" >/shared/next-holder
    mv /shared/next-holder "/shared/may-$MAINSTAY_TO"
    ;;
esac
