#!/bin/sh
# Checks the evidence bundle in which this file lies. Needs sha256sum, openssl (3 or later), ssh-keygen, sed, grep
# and what every system has beside them (cat, dirname, mkdir, mv, od, rm, sort, tail, tr).
# usage: sh verify.sh [ALLOWED_SIGNERS [AUTHORITIES [WITNESSES]]]
#   ALLOWED_SIGNERS: a trusted copy, from elsewhere; otherwise keys/allowed_signers is used
#   AUTHORITIES: certificates (PEM) of time-stamping authorities you trust; otherwise those in tsa/ are used
#   WITNESSES: verifier keys of witnesses you trust, one a line; otherwise those in keys/witness.vkeys are used
# An empty word stands for a file that is not given.
# It reads with patterns: that no member stands twice inside the body of an entry is checked by verify.py only.
# Says what is wrong, file by file, on standard output. Status 0: verified. 1: not. 2: could not run.
LC_ALL=C; export LC_ALL
trusted=${1:-}
case $trusted in '' | /*) ;; *) trusted=$PWD/$trusted ;; esac
authorities=${2:-}
case $authorities in '' | /*) ;; *) authorities=$PWD/$authorities ;; esac
witnesses=${3:-}
case $witnesses in '' | /*) ;; *) witnesses=$PWD/$witnesses ;; esac
cd -- "$(dirname -- "$0")" || exit 2
for tool in sha256sum openssl ssh-keygen sed grep; do
  command -v "$tool" > /dev/null || { echo "this needs $tool"; exit 2; }
done
tmp=${TMPDIR:-/tmp}/verify.$$; umask 077; try=0
# a run that was killed may have left its folder behind
until mkdir "$tmp" 2> /dev/null; do
  try=$((try + 1)); [ "$try" -lt 100 ] || { echo "no folder can be made in ${TMPDIR:-/tmp}"; exit 2; }
  tmp=${TMPDIR:-/tmp}/verify.$$.$try
done
trap 'rm -rf "$tmp"' EXIT
faults=0
fail() { echo "FAULT  $1: $2"; faults=$((faults + 1)); }
say() { [ "$faults" -eq "$before" ] && echo "ok     $1"; before=$faults; }
before=0
sum() { s=$(sha256sum < "$1"); echo "${s%% *}"; }
x64='[0-9a-f]\{64\}'
zero=0000000000000000000000000000000000000000000000000000000000000000

# 1 nothing changed, nothing missing, nothing added
for f in README.txt SHA256SUMS SHA256SUMS.sig bundle.json checkpoint.txt checkpoint.txt.sig keys/allowed_signers \
  keys/log.pub.pem keys/log.vkey report.html verify.py verify.sh; do
  [ -f "$f" ] || fail "$f" "is missing"
done
[ -f SHA256SUMS ] && [ -f SHA256SUMS.sig ] && [ -f checkpoint.txt ] && [ -f keys/allowed_signers ] || exit 1
if grep -v "^$x64  [A-Za-z0-9_][A-Za-z0-9._/-]*\$" SHA256SUMS > /dev/null; then fail SHA256SUMS "a line is no sum and name"; fi
if grep -qF .. SHA256SUMS || [ -n "$(tail -c 1 SHA256SUMS)" ]; then fail SHA256SUMS "a line is no sum and name"; fi
sha256sum --strict --quiet -c SHA256SUMS > "$tmp/sums" 2>&1 || {
  fail SHA256SUMS "does not fit the files"; sed 's/^/       /' "$tmp/sums"; }
for f in * .[!.]* ..?* */* */.[!.]* */..?* anchors/*/* anchors/*/.[!.]* anchors/*/..?* \
  rotations/*/* rotations/*/.[!.]* rotations/*/..?*; do
  [ -e "$f" ] || [ -L "$f" ] || continue
  case $f in
    keys | entries | proofs | disclosures | rules | attachments | tsa | anchors | rotations | anchors/[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9] | rotations/[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9])
      [ -d "$f" ] && [ ! -L "$f" ] && continue ;;
  esac
  if [ -d "$f" ] || [ -L "$f" ]; then fail "$f" "does not belong into a bundle"; continue; fi
  case $f in SHA256SUMS | SHA256SUMS.sig | SHA256SUMS.tsr) continue ;; esac
  listed=$(grep -cF "  $f" SHA256SUMS)
  case $listed in
    0) fail "$f" "is not listed in SHA256SUMS" ;;
    *) n=$(sed -n "s|^$x64  ||p" SHA256SUMS | grep -cxF "$f"); [ "$n" -eq 1 ] || fail "$f" "is listed $n times in SHA256SUMS" ;;
  esac
  case $f in
    README.txt | bundle.json | certification.txt | checkpoint.txt | checkpoint.txt.sig | report.html | report.pdf | verify.py | verify.sh) continue ;;
    keys/allowed_signers | keys/log.pub.pem | keys/log.vkey | keys/witness.vkeys | checkpoint.txt.tsr) continue ;;
    rotations/*/checkpoint.txt | rotations/*/consistency.txt | rotations/*/entry.json | rotations/*/entry.tlog-proof) continue ;;
    anchors/*/checkpoint.txt | anchors/*/checkpoint.txt.tsr | anchors/*/consistency.txt) continue ;;
  esac
  stem=${f#*/}; stem=${stem%.json}
  case $f in
    entries/*.json) want='[0-9]\{6,\}' ;;
    proofs/*.tlog-proof) want='[0-9]\{6,\}'; stem=${stem%.tlog-proof} ;;
    disclosures/*.json | rules/*.json) want=$x64 ;;
    anchors/*/*.tlog-proof) want='[0-9]\{6,\}'; stem=${stem#*/}; stem=${stem%.tlog-proof} ;;
    tsa/*.pem) want='[A-Za-z0-9._-]\{1,\}'; stem=${stem%.pem} ;;
    attachments/*.json) want='none' ;;
    attachments/*) want=$x64 ;;
    *) want='none' ;;
  esac
  echo "$stem" | grep -qx "$want" || fail "$f" "does not belong into a bundle"
done
say "each file is as it was at export, none is missing or added"

# 2 who exported it, and one log key in all its forms
signers=keys/allowed_signers
export_line=$(sed -n '1s/^\([^ ]*\) namespaces="breachclock-export-v1" \(ssh-ed25519 [A-Za-z0-9+/=]*\)$/\1 \2/p' $signers)
log_line=$(sed -n '2s/^\([^ ]*\) namespaces="breachclock-checkpoint-v1" \(ssh-ed25519 [A-Za-z0-9+/=]*\)$/\1 \2/p' $signers)
[ -n "$export_line" ] && [ -n "$log_line" ] && [ "$(grep -c '' $signers)" -eq 2 ] ||
  fail $signers "does not hold one export key and one log key"
exporter=${export_line%% *}; origin=${log_line%% *}
# the raw key is the end of all three forms
raw() { openssl base64 -d -A | tail -c 32 | openssl base64 -A; }
in_signers=$(printf %s "${log_line##* }" | raw)
in_vkey=$(sed -n '1s/^[^+]*+[^+]*+//p' keys/log.vkey | raw)
in_pem=$(openssl pkey -pubin -in keys/log.pub.pem -outform DER 2> "$tmp/err" | tail -c 32 | openssl base64 -A)
name_key() { { printf '%s\n\001' "$origin"; printf %s "$1" | openssl base64 -d -A; } | openssl dgst -sha256 | sed 's/.* \(........\).*/\1/'; }
id=$(name_key "$in_signers")
case $(cat keys/log.vkey) in "$origin+$id+"*) ;; *) fail keys/log.vkey "is not the log key of allowed_signers" ;; esac
[ "$in_vkey" = "$in_signers" ] || fail keys/log.vkey "is not the log key of allowed_signers"
[ "$in_pem" = "$in_signers" ] || fail keys/log.pub.pem "is not the log key of allowed_signers"
for list in $signers ${trusted:+"$trusted"}; do
  ssh-keygen -Y verify -f "$list" -I "$exporter" -n breachclock-export-v1 -s SHA256SUMS.sig < SHA256SUMS > "$tmp/out" 2>&1 ||
    fail SHA256SUMS.sig "is not by the key of $exporter in $list"
done
ssh-keygen -Y verify -f $signers -I "$origin" -n breachclock-checkpoint-v1 -s checkpoint.txt.sig < checkpoint.txt > "$tmp/out" 2>&1 ||
  fail checkpoint.txt.sig "is not by the key of $origin in $signers"
say "SHA256SUMS is signed by the export key"

# 3 the log's signature on size and root
dash=$(printf '\342\200\224')
use_key() { # raw key in base64
  # base64 of the key id is a prefix up to its last two bits: compare id and signature as one
  octal=$(for b in $(name_key "$1" | sed 's/../0x& /g'); do printf '\\%o%o%o' $((b / 64)) $((b / 8 % 8)) $((b % 8)); done)
  { echo '-----BEGIN PUBLIC KEY-----'
    { printf '\060\052\060\005\006\003\053\145\160\003\041\000'; printf %s "$1" | openssl base64 -d -A; } | openssl base64
    echo '-----END PUBLIC KEY-----'; } > "$tmp/key.pem"
}
own_lines() { sed '1,4d' "$1" | grep -c "^$dash $origin [A-Za-z0-9+/=]*\$"; }
signed() { # note most: by the key in use, with at most so many signatures; behind them may stand those of others
  sed '/^$/,$d' "$1" > "$tmp/text"
  lines=$(grep -c '' "$1"); own=$(own_lines "$1")
  [ "$lines" -ge 5 ] && [ "$own" -ge 1 ] && [ "$own" -le "$2" ] && [ "$lines" -le $((104 + own)) ] &&
    [ "$(sed -n 1p "$1")" = "$origin" ] && [ -z "$(sed -n 4p "$1")" ] && [ -z "$(tail -c 1 "$1")" ] &&
    [ "$(sed "$((4 + own))q" "$1" | sed '1,4d' | grep -c "^$dash $origin ")" -eq "$own" ] &&
    [ "$(sed "1,$((4 + own))d" "$1" | grep -c "^$dash [^+ [:cntrl:]]\{1,\} [A-Za-z0-9+/=]\{8,\}\$")" -eq $((lines - 4 - own)) ] ||
    fail "$1" "is no checkpoint with $2 signature(s) at most"
  by=
  for line in $(sed -n "5,\$s|^$dash $origin ||p" "$1"); do
    printf %s "$line" | openssl base64 -d -A | tail -c +5 > "$tmp/sig"
    [ "$({ printf "$octal"; cat "$tmp/sig"; } | openssl base64 -A)" = "$line" ] || continue
    openssl pkeyutl -verify -rawin -pubin -inkey "$tmp/key.pem" -in "$tmp/text" -sigfile "$tmp/sig" > "$tmp/out" 2>&1 && by=1
  done
  [ -n "$by" ] || fail "$1" "is not signed by the log key"
}
use_key "$in_signers"
signed checkpoint.txt 1
size=$(sed -nE '2s/^(0|[1-9][0-9]*)$/\1/p' checkpoint.txt)
root=$(sed -n 3p checkpoint.txt)
[ -n "$size" ] || { fail checkpoint.txt "has no size"; size=0; }
say "size and root are signed by the log key, twice"

# 4 each entry: its form, the chain, its place in the tree
# the value reached so far lies in the file h, the next one is made in i
up() { openssl dgst -sha256 -binary > "$tmp/i"; mv "$tmp/i" "$tmp/h"; }
included() { # entry proof index size root: RFC 9162 section 2.1.3.2
  { printf '\000'; cat "$1"; } | up
  at=$3; last=$(($4 - 1))
  [ "$at" -le "$last" ] || return 1
  for sibling in $(sed '1,2d;/^$/,$d' "$2"); do
    [ "$last" -gt 0 ] || return 1
    if [ $((at % 2)) -eq 1 ] || [ "$at" -eq "$last" ]; then
      { printf '\001'; echo "$sibling" | openssl base64 -d -A; cat "$tmp/h"; } | up
      while [ $((at % 2)) -eq 0 ] && [ "$at" -ne 0 ]; do at=$((at / 2)); last=$((last / 2)); done
    else
      { printf '\001'; cat "$tmp/h"; echo "$sibling" | openssl base64 -d -A; } | up
    fi
    at=$((at / 2)); last=$((last / 2))
  done
  [ "$last" -eq 0 ] && [ "$(openssl base64 -A < "$tmp/h")" = "$5" ]
}
form='^{"v":1,"log":"[A-Za-z0-9._/:-]*","idx":[0-9]*,"stream":"[A-Za-z0-9._-]*","n":[0-9]*,"prev":"'$x64'",'
form=$form'"ts":"[0-9]\{4\}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]\.[0-9]\{6\}Z","type":"[a-z0-9.-]*",'
form=$form'"nonce":"[A-Za-z0-9_-]\{22\}","body":{.*}}$'
parts() { # idx stream n prev ts type; none of them has a space
  sed -n '1s/^{"v":1,"log":"[^"]*","idx":\([0-9]*\),"stream":"\([^"]*\)","n":\([0-9]*\),"prev":"\([0-9a-f]*\)","ts":"\([^"]*\)","type":"\([^"]*\)".*/\1 \2 \3 \4 \5 \6/p' "$1"
}
n=0; prev=$zero; next=0; stream=; last_file=
: > "$tmp/rows"; : > "$tmp/indices"
for f in entries/*.json; do
  [ -f "$f" ] || break
  n=$((n + 1)); name=$(printf %06d "$n"); last_file=$f
  [ "$f" = "entries/$name.json" ] || fail "$f" "entry $n is missing before it"
  own=$(sum "$f")
  if ! grep -q "$form" "$f" || [ "$(grep -c '' "$f")" -ne 1 ] || [ -n "$(tail -c 1 "$f")" ]; then
    fail "$f" "is no entry"; prev=$own; continue
  fi
  # shellcheck disable=SC2046 # six words are wanted
  set -- $(parts "$f")
  idx=$1; ts=$5; type=$6; : "${stream:=$2}"
  grep -qF "{\"v\":1,\"log\":\"$origin\",\"idx\":" "$f" || fail "$f" "is of another log"
  [ "$2" = "$stream" ] || fail "$f" "is of another stream"
  [ "$3" = "$n" ] || fail "$f" "says it is entry $3 of the stream"
  [ "$4" = "$prev" ] || fail "$f" "does not name the sum of the entry before it"
  case $idx in 0) ;; 0*) fail "$f" "its index is not written as a number" ;; esac
  [ "$idx" -ge "$next" ] && [ "$idx" -lt "$size" ] || fail "$f" "its place in the log is out of order"
  p=proofs/$name.tlog-proof
  if [ ! -f "$p" ]; then fail "$p" "is missing"
  else
    [ "$(sed -n 1p "$p")" = c2sp.org/tlog-proof@v1 ] && [ "$(sed -n 2p "$p")" = "index $idx" ] ||
      fail "$p" "is for another index than that of $f"
    [ "$(sed '1,/^$/d' "$p")" = "$(cat checkpoint.txt)" ] || fail "$p" "is no proof under checkpoint.txt"
    included "$f" "$p" "$idx" "$size" "$root" || fail "$p" "does not lead from $f to the root"
  fi
  echo "{\"n\":$n,\"idx\":$idx,\"ts\":\"$ts\",\"type\":\"$type\",\"sha256\":\"$own\"}" >> "$tmp/rows"
  echo "$n $idx" >> "$tmp/indices"
  grep -qF "$own" report.html || fail report.html "does not show the hash of $f"
  prev=$own; next=$((idx + 1))
done
[ "$n" -gt 0 ] || { fail entries "there are no entries"; exit 1; }
for p in proofs/*; do
  s=${p#proofs/}; [ -f "entries/${s%.tlog-proof}.json" ] || fail "$p" "belongs to no entry"
done
text='"([^"\\]|\\.)*"'
grep -qE '"type":"export\.created","nonce":"[^"]*","body":\{"actor":'"$text"',"profile":'"$text"',"entries":'$n',"withheld":\[' "$last_file" ||
  fail "$last_file" "is not the record of this export, or does not count $n entries: entries after it are missing"
say "$n entries follow each other without a gap, up to the export, and each is in the log"

# 5 time stamps: since when the entries exist at least
: > "$tmp/stamps"; : > "$tmp/times"; : > "$tmp/tsa"
if [ -n "$authorities" ]; then cat -- "$authorities" > "$tmp/tsa" || exit 2; fi
for f in tsa/*; do
  [ -f "$f" ] || continue
  openssl x509 -in "$f" -noout 2> "$tmp/err" || fail "$f" "holds no certificate that can be read"
  [ -n "$authorities" ] || cat "$f" >> "$tmp/tsa"
done
number() { case $1 in 0?*) echo "${1#0}" ;; *) echo "$1" ;; esac; } # sh takes 08 for octal
stamp() { # file size: the stamp over it
  [ -f "$1.tsr" ] || return 0
  time=$(openssl ts -reply -in "$1.tsr" -text 2> "$tmp/err" | sed -n 's/^Time stamp: //p')
  # shellcheck disable=SC2086 # month day time year zone
  set -- "$1" "$2" $time
  month=0; m=0
  for name in Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec; do m=$((m + 1)); [ "$name" != "${3:-}" ] || month=$m; done
  if [ "$#" -ne 7 ] || [ "$7" != GMT ] || [ "$month" -eq 0 ]; then fail "$1.tsr" "is no time stamp"; return 0; fi
  at=$(printf '%04d-%02d-%02dT%sZ' "$6" "$month" "$4" "$5")
  y=$6; m=$((month - 3)); [ "$m" -ge 0 ] || { m=$((m + 12)); y=$((y - 1)); }
  days=$((y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + $4 - 719469))
  h=${5%%:*}; s=${5##*:}; s=${s%%.*}; i=${5#*:}; i=${i%%:*}
  epoch=$((days * 86400 + $(number "$h") * 3600 + $(number "$i") * 60 + $(number "$s")))
  # over a checkpoint as the log signed it: what witnesses added stands behind
  data=$1
  [ "$1" = SHA256SUMS ] || { data=$tmp/stamped; sed "$((4 + $(own_lines "$1")))q" "$1" > "$data"; }
  # certificates are judged as of the stamp: they may have ended since
  if openssl ts -verify -partial_chain -attime "$epoch" -data "$data" -in "$1.tsr" -CAfile "$tmp/tsa" > "$tmp/out" 2>&1; then
    echo "$2 $epoch $at" >> "$tmp/times"
    [ "$1" = SHA256SUMS ] || echo "{\"size\":$2,\"at\":\"$at\",\"file\":\"$1.tsr\"}" >> "$tmp/stamps"
  else
    fail "$1.tsr" "is not over $1, or not by an authority of ${authorities:-tsa/}"; sed -n 's/.*:error:/       /p' "$tmp/out"
  fi
}
node() { openssl dgst -sha256 -binary > "$tmp/i"; mv "$tmp/i" "$1"; }
grown() { # proof size root: the tree of size and root grew into that of the export, RFC 9162 section 2.1.4.2
  [ "$2" -gt 0 ] && [ "$2" -lt "$size" ] || return 1
  at=$(($2 - 1)); last=$((size - 1))
  while [ $((at % 2)) -eq 1 ]; do at=$((at / 2)); last=$((last / 2)); done
  first=
  # a power of two is a complete subtree: the proof leaves it out
  [ "$at" -ne 0 ] || first=$3
  [ -z "$(tail -c 1 "$1")" ] || return 1
  [ -z "$first" ] || { printf %s "$first" | openssl base64 -d -A > "$tmp/old"; cp "$tmp/old" "$tmp/new"; }
  while read -r sibling; do
    printf %s "$sibling" | openssl base64 -d -A > "$tmp/sibling"
    [ "$(openssl base64 -A < "$tmp/sibling")" = "$sibling" ] && [ "${#sibling}" -eq 44 ] || return 1
    if [ -z "$first" ]; then first=$sibling; cp "$tmp/sibling" "$tmp/old"; cp "$tmp/sibling" "$tmp/new"; continue; fi
    [ "$last" -gt 0 ] || return 1
    if [ $((at % 2)) -eq 1 ] || [ "$at" -eq "$last" ]; then
      { printf '\001'; cat "$tmp/sibling" "$tmp/old"; } | node "$tmp/old"
      { printf '\001'; cat "$tmp/sibling" "$tmp/new"; } | node "$tmp/new"
      while [ $((at % 2)) -eq 0 ] && [ "$at" -ne 0 ]; do at=$((at / 2)); last=$((last / 2)); done
    else
      { printf '\001'; cat "$tmp/new" "$tmp/sibling"; } | node "$tmp/new"
    fi
    at=$((at / 2)); last=$((last / 2))
  done < "$1"
  [ -n "$first" ] && [ "$last" -eq 0 ] && [ "$(openssl base64 -A < "$tmp/old")" = "$3" ] &&
    [ "$(openssl base64 -A < "$tmp/new")" = "$root" ]
}
# the log key may have been changed: an entry says so, under a checkpoint that both keys signed; newest first
: > "$tmp/rotations"; key=$in_signers
for d in $(printf '%s\n' rotations/* | sort -r); do
  [ -d "$d" ] || continue
  c=$d/checkpoint.txt; e=$d/entry.json
  for f in "$c" "$e" "$d/entry.tlog-proof" "$d/consistency.txt"; do [ -f "$f" ] || { fail "$f" "is missing"; c=; }; done
  [ -n "$c" ] || continue
  id=$(name_key "$key"); word=$({ printf '\001'; printf %s "$key" | openssl base64 -d -A; } | openssl base64 -A)
  # shellcheck disable=SC2046 # six words are wanted
  set -- $(parts "$e")
  before_id=$(sed -n 's/.*"body":{"key":"log","old":"[^"+]*+\([0-9a-f]*\)+[^"]*","new":.*/\1/p' "$e")
  before_key=$(sed -n 's/.*"body":{"key":"log","old":"[^"+]*+[0-9a-f]*+\([A-Za-z0-9+/=]*\)","new":.*/\1/p' "$e" | raw)
  before_word=$({ printf '\001'; printf %s "$before_key" | openssl base64 -d -A; } | openssl base64 -A)
  if ! grep -q "$form" "$e" || [ "$(grep -c '' "$e")" -ne 1 ] || [ -n "$(tail -c 1 "$e")" ] || [ "$2 $6" != "_system key.rotated" ] ||
    ! grep -qF "{\"v\":1,\"log\":\"$origin\",\"idx\":" "$e" || [ "$before_id" != "$(name_key "$before_key")" ] ||
    ! grep -qF "\"body\":{\"key\":\"log\",\"old\":\"$origin+$before_id+$before_word\",\"new\":\"$origin+$id+$word\"}}" "$e"; then
    fail "$e" "shows no change of the log key to the one that follows"; continue
  fi
  use_key "$key"; signed "$c" 2
  use_key "$before_key"; signed "$c" 2
  old=$(sed -nE '2s/^(0|[1-9][0-9]*)$/\1/p' "$c"); old_root=$(sed -n 3p "$c"); p=$d/entry.tlog-proof
  if [ -z "$old" ] || [ "$d" != "rotations/$(printf %010d "$old")" ]; then
    fail "$c" "is not of the size its folder is named by"; continue
  fi
  [ "$(sed -n 1p "$p")" = c2sp.org/tlog-proof@v1 ] && [ "$(sed -n 2p "$p")" = "index $1" ] || fail "$p" "is for another index than that of $e"
  [ "$(sed '1,/^$/d' "$p")" = "$(cat "$c")" ] || fail "$p" "is no proof under $c"
  included "$e" "$p" "$1" "$old" "$old_root" || fail "$p" "does not lead from $e to the root"
  grown "$d/consistency.txt" "$old" "$old_root" ||
    fail "$d/consistency.txt" "does not show that the log grew from the earlier checkpoint"
  key=$before_key; echo "$old $key" >> "$tmp/rotations"
done
if [ -n "$trusted" ]; then
  known=$(sed -n "s|^$origin namespaces=\"breachclock-checkpoint-v1\" ssh-ed25519 ||p" "$trusted" | raw)
  { [ -n "$known" ] && { [ "$known" = "$in_signers" ] || grep -q " $known\$" "$tmp/rotations"; }; } ||
    fail checkpoint.txt.sig "is not by the key of $origin in $trusted, nor by one that followed it"
fi
say "the log key is the one it was, or each change of it is in the log"
key_for() { # size
  found=$in_signers
  while read -r at key; do [ "$1" -gt "$at" ] || found=$key; done < "$tmp/rotations"
  echo "$found"
}
for d in anchors/*; do
  [ -d "$d" ] || continue
  c=$d/checkpoint.txt
  for f in "$c" "$c.tsr" "$d/consistency.txt"; do
    [ -f "$f" ] && continue
    # a witness is as good
    [ "$f" = "$c.tsr" ] && [ "$(sed '1,4d' "$c" | grep -cv "^$dash $origin ")" -gt 0 ] && continue
    fail "$f" "is missing"; c=
  done
  [ -n "$c" ] || continue
  old=${d#anchors/}; while [ "${old#0}" != "$old" ]; do old=${old#0}; done
  use_key "$(key_for "${old:-0}")"; signed "$c" 2
  old=$(sed -nE '2s/^(0|[1-9][0-9]*)$/\1/p' "$c"); old_root=$(sed -n 3p "$c")
  if [ -z "$old" ] || [ "$old" -ge "$size" ] || [ "$d" != "anchors/$(printf %010d "$old")" ]; then
    fail "$c" "is not of the size its folder is named by, or not earlier than checkpoint.txt"; continue
  fi
  grown "$d/consistency.txt" "$old" "$old_root" ||
    fail "$d/consistency.txt" "does not show that the log grew from the earlier checkpoint"
  for p in "$d"/*.tlog-proof; do
    [ -f "$p" ] || continue
    name=${p##*/}; name=${name%.tlog-proof}; f=entries/$name.json
    [ -f "$f" ] || { fail "$p" "belongs to no entry"; continue; }
    # shellcheck disable=SC2046 # six words are wanted
    set -- $(parts "$f")
    [ "$(sed -n 1p "$p")" = c2sp.org/tlog-proof@v1 ] && [ "$(sed -n 2p "$p")" = "index ${1:-}" ] ||
      fail "$p" "is for another index than that of $f"
    [ "$(sed '1,/^$/d' "$p")" = "$(cat "$c")" ] || fail "$p" "is no proof under $c"
    included "$f" "$p" "${1:-0}" "$old" "$old_root" || fail "$p" "does not lead from $f to the root"
  done
  stamp "$c" "$old"
done
stamp checkpoint.txt "$size"
cp "$tmp/times" "$tmp/covering"
stamp SHA256SUMS "$size"
packed=$(sed -n "$(($(grep -c '' "$tmp/covering") + 1))p" "$tmp/times"); packed=${packed##* }
if [ -s "$tmp/times" ]; then say "time stamps are by an authority of ${authorities:-tsa/}, over what lies beside them"
else say "no time stamp is here to be checked"; fi

# 5b witnesses: what others saw of the log, C2SP tlog-cosignature
: > "$tmp/cosigned"; : > "$tmp/seen"; unknown=0
decoded() { printf %s "$1" | openssl base64 -d -A; }
for list in keys/witness.vkeys ${witnesses:+"$witnesses"}; do
  [ -f "$list" ] || { [ "$list" = keys/witness.vkeys ] && continue; echo "$list cannot be read"; exit 2; }
  { [ -s "$list" ] && [ -z "$(tail -c 1 "$list")" ]; } || fail "$list" "is empty, or does not end with a line feed"
  sed 's/^\([^+]*+[^+]*\)+.*/\1/' "$list" | sort > "$tmp/ids"
  [ "$(cat "$tmp/ids")" = "$(sort -u "$tmp/ids")" ] || fail "$list" "names a key twice"
  while IFS= read -r line; do
    name=${line%%+*}; rest=${line#*+}; id=${rest%%+*}; key=${rest#*+}
    # base64 of the type 0x04 begins so
    printf '%s\n' "$line" | grep -qx '[A-Za-z0-9._/:-]\{1,\}+[0-9a-f]\{8\}+B[A-P][A-Za-z0-9+/=]\{42\}' &&
      [ "$({ printf '%s\n' "$name"; decoded "$key"; } | openssl dgst -sha256 | sed 's/.* \(........\).*/\1/')" = "$id" ] &&
      [ "$(decoded "$key" | openssl base64 -A)" = "$key" ] || fail "$list" "a line is no verifier key of a witness"
  done < "$list"
done
key_of() { # list name id
  found=
  if [ -f "$1" ]; then while IFS= read -r line; do case $line in "$2+$3+"*) found=${line#"$2+$3+"} ;; esac; done < "$1"; fi
  printf %s "$found"
}
date_of() { # seconds since 1970
  z=$(($1 / 86400 + 719468)); s=$(($1 % 86400)); doe=$((z % 146097))
  yoe=$(((doe - doe / 1460 + doe / 36524 - doe / 146096) / 365)); doy=$((doe - (365 * yoe + yoe / 4 - yoe / 100)))
  mp=$(((5 * doy + 2) / 153)); m=$((mp < 10 ? mp + 3 : mp - 9)); y=$((yoe + z / 146097 * 400 + (m <= 2)))
  printf '%04d-%02d-%02dT%02d:%02d:%02dZ' "$y" "$m" $((doy - (153 * mp + 2) / 5 + 1)) $((s / 3600)) $((s / 60 % 60)) $((s % 60))
}
cosignature() { # checkpoint: whether the line in the file blob, its digits in hex, is over it; its time in t
  t=${hex#????????}; t=$(printf %.16s "$t")
  # 76 bytes; a time up to the year 9999
  [ "${#hex}" -eq 152 ] || return 1
  case $t in 000000*) t=$((0x$t)) ;; *) return 1 ;; esac
  [ "$t" -ge 1 ] && [ "$t" -le 253402300799 ] || return 1
  { echo cosignature/v1; echo "time $t"; sed 3q "$1"; } > "$tmp/text"
  tail -c 64 "$tmp/blob" > "$tmp/sig"
  for key in $ours $theirs; do
    use_key "$(printf %s "$key" | raw)"
    openssl pkeyutl -verify -rawin -pubin -inkey "$tmp/key.pem" -in "$tmp/text" -sigfile "$tmp/sig" > "$tmp/out" 2>&1 || return 1
  done
}
for c in anchors/*/checkpoint.txt checkpoint.txt; do
  [ -f "$c" ] || continue
  old=$(sed -nE '2s/^(0|[1-9][0-9]*)$/\1/p' "$c")
  [ -n "$old" ] || continue
  sed "1,$((4 + $(own_lines "$c")))d" "$c" > "$tmp/others"
  while read -r mark witness blob; do
    decoded "$blob" > "$tmp/blob"; hex=$(od -An -v -tx1 "$tmp/blob" | tr -d ' \n'); id=$(printf %.8s "$hex")
    if [ "$mark" != "$dash" ] || [ "$(openssl base64 -A < "$tmp/blob")" != "$blob" ] || [ "${#hex}" -lt 10 ]; then
      fail "$c" "a line is no signature"; continue
    fi
    ours=$(key_of keys/witness.vkeys "$witness" "$id"); theirs=; known=$ours
    if [ -n "$witnesses" ]; then theirs=$(key_of "$witnesses" "$witness" "$id"); known=$theirs; fi
    [ -n "$known" ] || unknown=$((unknown + 1))
    [ -n "$ours$theirs" ] || continue
    if ! cosignature "$c"; then
      fail "$c" "the cosignature of \`$witness\` does not hold: it is not over this checkpoint, or not of that time or key"
      continue
    fi
    at=$(date_of "$t")
    [ -z "$ours" ] || echo "{\"size\":$old,\"at\":\"$at\",\"witness\":\"$witness\",\"key_id\":\"$id\",\"file\":\"$c\"}" >> "$tmp/cosigned"
    count=0
    while read -r number idx; do [ "$idx" -ge "$old" ] || count=$((count + 1)); done < "$tmp/indices"
    [ -z "$known" ] || echo "seen   by witness $witness at $at: the log at size $old, root $(sed -n 3p "$c"), grown from all it saw before (entries 1 to $count)" >> "$tmp/seen"
  done < "$tmp/others"
done
if [ -f keys/witness.vkeys ] || [ -s "$tmp/seen" ]; then say "each cosignature of a known witness is over the checkpoint it stands under"; fi
ages() { # runs of entries, and the earliest time that covers them
  from=; to=; age=
  while read -r number idx; do
    best=; found=
    while read -r old epoch at; do
      [ "$old" -gt "$idx" ] || continue
      if [ -z "$best" ] || [ "$epoch" -lt "$best" ]; then best=$epoch; found=$at; fi
    done < "$tmp/covering"
    if [ -n "$from" ] && [ "$found" = "$age" ]; then to=$number; continue; fi
    [ -z "$from" ] || told
    from=$number; to=$number; age=$found
  done < "$tmp/indices"
  [ -z "$from" ] || told
}
told() {
  if [ -n "$age" ]; then echo "since  entries $from to $to existed no later than $age"
  else echo "since  not provable how old entries $from to $to are: no time stamp covers them"; fi
}

# 6 fields: shown, erased or withheld. A quote inside a string is escaped, so these patterns match members only.
grep -ho "\"\$c\":\"$x64\"" entries/*.json | sed 's/.*:"//; s/"//' > "$tmp/named"
lists() { grep -ho '"commitments":\[[^]]*\]' "$@" /dev/null | grep -o "\"$x64\"" | sed 's/"//g'; }
: > "$tmp/erased"; : > "$tmp/withheld"; : > "$tmp/rulebooks"
for f in entries/*.json; do
  type=$(parts "$f"); type=${type##* }
  case $type in
    disclosure.erased) lists "$f" >> "$tmp/erased" ;;
    disclosure.withheld) lists "$f" >> "$tmp/withheld" ;;
    export.created) [ "$f" = "$last_file" ] && lists "$f" >> "$tmp/withheld" ;;
    deadline.computed) grep -o '"rulebook":"[^"]*"' "$f" | sed 's/.*:"//; s/"//' >> "$tmp/rulebooks" ;;
  esac
done
shown=0; erased=0; withheld=0; done=' '
: > "$tmp/isgone"; : > "$tmp/iskept"
while read -r c; do
  case $done in *" $c "*) continue ;; esac
  done="$done$c "
  if [ -f "disclosures/$c.json" ]; then
    shown=$((shown + 1))
    grep -qxF "$c" "$tmp/erased" && fail "disclosures/$c.json" "was erased according to the log"
  elif grep -qxF "$c" "$tmp/erased"; then erased=$((erased + 1)); echo "$c" >> "$tmp/isgone"
  elif grep -qxF "$c" "$tmp/withheld"; then withheld=$((withheld + 1)); echo "$c" >> "$tmp/iskept"
  else fail "$(grep -l "$c" entries/*.json | sed 1q)" "field $c is hidden: neither shown, erased nor withheld"
  fi
done < "$tmp/named"
: > "$tmp/files"
for f in disclosures/*; do
  [ -f "$f" ] || continue
  c=${f#disclosures/}; c=${c%.json}
  [ "$(sum "$f")" = "$c" ] || fail "$f" "is not named by its own sum"
  grep -qxF "$c" "$tmp/named" || fail "$f" "belongs to no entry"
  grep -q '^\["[A-Za-z0-9_-]\{43\}","/[^"]*",.*\]$' "$f" || fail "$f" "is no salt, pointer and value"
  # a disclosure ends without a line feed; read and sed want one
  { cat "$f"; echo; } | sed -nE 's#^\["[^"]*","/([^"]*/)*(proof|attachment|sha256)","([0-9a-f]{64})"\]$#\3#p' >> "$tmp/files"
done
say "fields: $shown shown, $erased erased, $withheld withheld"

# 7 rules and attachments: named by their sum, and by an entry
while read -r c; do [ -f "rules/$c.json" ] || fail "rules/$c.json" "is missing"; done < "$tmp/rulebooks"
: > "$tmp/in-rules"; : > "$tmp/in-att"
for f in rules/*; do
  [ -f "$f" ] || continue
  c=${f#rules/}; c=${c%.json}; echo "$c" >> "$tmp/in-rules"
  [ "$(sum "$f")" = "$c" ] || fail "$f" "is not named by its own sum"
  grep -qxF "$c" "$tmp/rulebooks" && continue
  found=; while read -r r; do [ -f "rules/$r.json" ] && grep -qF "\"$c\"" "rules/$r.json" && found=1; done < "$tmp/rulebooks"
  [ -n "$found" ] || fail "$f" "was used for no deadline of this incident"
done
for f in attachments/*; do
  [ -f "$f" ] || continue
  c=${f#attachments/}; echo "$c" >> "$tmp/in-att"
  [ "$(sum "$f")" = "$c" ] || fail "$f" "is not named by its own sum"
  grep -qxF "$c" "$tmp/files" || fail "$f" "is named by no entry"
done
while read -r c; do [ -f "attachments/$c" ] || fail "attachments/$c" "is named by a disclosure and missing"; done < "$tmp/files"
say "rules and attachments are those the entries name"

# 8 the index says the same
member() { grep -qxF "\"$1\":$2," bundle.json || fail bundle.json "\`$1\` does not agree with the files"; }
member format '"breachclock-bundle-v1"'
member origin "\"$origin\""
member stream "\"$stream\""
member tree_size "$size"
member root "\"$root\""
member generated_at "\"$ts\""
profile=$(sed -nE 's#.*"body":\{"actor":'"$text"',"profile":('"$text"'),"entries":.*#\2#p' "$last_file")
member profile "$profile"
block() { # name: the lines of a list, without commas
  sed -n "/^\"$1\":\\[\$/,/^\\]/p" bundle.json | sed '1d;$d;s/,$//'
}
[ "$(block anchors)" = "$(cat "$tmp/stamps")" ] || fail bundle.json "\`anchors\` does not agree with the files"
[ -s "$tmp/stamps" ] || member anchors '[]'
block witnesses > "$tmp/index"; missing=
while IFS= read -r row; do
  grep -qxF "$row" "$tmp/cosigned" && continue
  missing=1
  part() { printf '%s\n' "$row" | sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; }
  f=$(part file); [ -f "$f" ] || f=bundle.json
  fail "$f" "lacks the cosignature of \`$(part witness)\` of $(part at), which bundle.json names"
done < "$tmp/index"
[ -n "$missing" ] || [ "$(cat "$tmp/index")" = "$(cat "$tmp/cosigned")" ] || fail bundle.json "\`witnesses\` does not agree with the files"
named=$(grep -c '^"witnesses":' bundle.json); wanted=0; [ ! -s "$tmp/cosigned" ] || wanted=1
[ -n "$missing" ] || [ "$named" -eq "$wanted" ] || fail bundle.json "\`witnesses\` does not agree with the files"
[ "$(block entries)" = "$(cat "$tmp/rows")" ] || fail bundle.json "\`entries\` does not agree with the files"
same() { # name file: as sets, the index sorted
  [ "$(block "$1" | sed 's/"//g')" = "$(sort -u "$2")" ] || fail bundle.json "\`$1\` does not agree with the files"
}
same rules "$tmp/in-rules"; same attachments "$tmp/in-att"; same erased "$tmp/isgone"
block withheld | grep -o '"commitments":\[[^]]*\]' | grep -o "\"$x64\"" | sed 's/"//g' | sort -u > "$tmp/index"
[ "$(cat "$tmp/index")" = "$(sort -u "$tmp/iskept")" ] || fail bundle.json "\`withheld\` does not agree with the log"
for k in format exporter origin stream tree_size root profile generated_at entries rules attachments anchors erased withheld; do
  [ "$(grep -c "^\"$k\":" bundle.json)" -eq 1 ] || fail bundle.json "\`$k\` does not stand there once"
done
say "bundle.json agrees with the files"

if [ "$faults" -gt 0 ]; then echo "NOT VERIFIED: $faults faults"; exit 1; fi
echo "VERIFIED: $n entries of $stream in log $origin (size $size, root $root)"
for line in "$export_line" "$log_line"; do
  echo "${line#* }" | ssh-keygen -l -f - | sed "s|^|       ${line%% *} |"
done
while read -r at key; do
  { printf '\000\000\000\013ssh-ed25519\000\000\000\040'; printf %s "$key" | openssl base64 -d -A; } | openssl base64 -A |
    sed 's/^/ssh-ed25519 /' | ssh-keygen -l -f - | sed "s|^|       log key up to size $at: |"
done < "$tmp/rotations"
ages
[ -z "$packed" ] || echo "since  this bundle was packed no later than $packed"
cat "$tmp/seen"
[ -z "$witnesses" ] || [ -s "$tmp/seen" ] || echo "seen   by none of the witnesses that you trust"
[ "$unknown" -eq 0 ] || echo "       $unknown cosignature(s) of unknown keys were ignored"
other=; keys=
if [ -s "$tmp/seen" ]; then
  other=" without cosignatures of these witnesses"
  [ -n "$witnesses" ] || keys=", and the keys of the witnesses"
fi
echo "not shown: that statements were true when written; that entries are not younger than they say;"
echo "that nobody was shown another log$other. Compare the fingerprints above, and the certificates of the time-stamping"
echo "authorities$keys, with those published elsewhere."
