#!/bin/sh
# Checks the evidence bundle in which this file lies. Needs sha256sum, openssl (3 or later), ssh-keygen, sed, grep
# and what every system has beside them (cat, dirname, mkdir, mv, rm, sort, tail).
# usage: sh verify.sh [ALLOWED_SIGNERS]     a trusted copy, from elsewhere; otherwise keys/allowed_signers is used
# It reads with patterns: that no member stands twice inside the body of an entry is checked by verify.py only.
# Says what is wrong, file by file, on standard output. Status 0: verified. 1: not. 2: could not run.
LC_ALL=C; export LC_ALL
trusted=${1:-}
case $trusted in '' | /*) ;; *) trusted=$PWD/$trusted ;; esac
cd -- "$(dirname -- "$0")" || exit 2
for tool in sha256sum openssl ssh-keygen sed grep; do
  command -v "$tool" > /dev/null || { echo "this needs $tool"; exit 2; }
done
tmp=${TMPDIR:-/tmp}/verify.$$; umask 077; mkdir "$tmp" || exit 2
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
for f in * .[!.]* ..?* */* */.[!.]* */..?*; do
  [ -e "$f" ] || [ -L "$f" ] || continue
  case $f in keys | entries | proofs | disclosures | rules | attachments) [ -d "$f" ] && [ ! -L "$f" ] && continue ;; esac
  if [ -d "$f" ] || [ -L "$f" ]; then fail "$f" "does not belong into a bundle"; continue; fi
  case $f in SHA256SUMS | SHA256SUMS.sig) continue ;; esac
  listed=$(grep -cF "  $f" SHA256SUMS)
  case $listed in
    0) fail "$f" "is not listed in SHA256SUMS" ;;
    *) n=$(sed -n "s|^$x64  ||p" SHA256SUMS | grep -cxF "$f"); [ "$n" -eq 1 ] || fail "$f" "is listed $n times in SHA256SUMS" ;;
  esac
  case $f in
    README.txt | bundle.json | checkpoint.txt | checkpoint.txt.sig | report.html | report.pdf | verify.py | verify.sh) continue ;;
    keys/allowed_signers | keys/log.pub.pem | keys/log.vkey) continue ;;
  esac
  stem=${f#*/}; stem=${stem%.json}
  case $f in
    entries/*.json) want='[0-9]\{6,\}' ;;
    proofs/*.tlog-proof) want='[0-9]\{6,\}'; stem=${stem%.tlog-proof} ;;
    disclosures/*.json | rules/*.json) want=$x64 ;;
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
id=$({ printf '%s\n\001' "$origin"; printf %s "$in_signers" | openssl base64 -d -A; } | openssl dgst -sha256 | sed 's/.* \(........\).*/\1/')
case $(cat keys/log.vkey) in "$origin+$id+"*) ;; *) fail keys/log.vkey "is not the log key of allowed_signers" ;; esac
[ "$in_vkey" = "$in_signers" ] || fail keys/log.vkey "is not the log key of allowed_signers"
[ "$in_pem" = "$in_signers" ] || fail keys/log.pub.pem "is not the log key of allowed_signers"
for list in $signers ${trusted:+"$trusted"}; do
  ssh-keygen -Y verify -f "$list" -I "$exporter" -n breachclock-export-v1 -s SHA256SUMS.sig < SHA256SUMS > "$tmp/out" 2>&1 ||
    fail SHA256SUMS.sig "is not by the key of $exporter in $list"
  ssh-keygen -Y verify -f "$list" -I "$origin" -n breachclock-checkpoint-v1 -s checkpoint.txt.sig < checkpoint.txt > "$tmp/out" 2>&1 ||
    fail checkpoint.txt.sig "is not by the key of $origin in $list"
done
say "SHA256SUMS is signed by the export key"

# 3 the log's signature on size and root
dash=$(printf '\342\200\224')
sed '/^$/,$d' checkpoint.txt > "$tmp/text"
line=$(sed -n "5s|^$dash $origin ||p" checkpoint.txt)
printf %s "$line" | openssl base64 -d -A | tail -c +5 > "$tmp/sig"
[ "$(grep -c '' checkpoint.txt)" -eq 5 ] && [ "$(sed -n 1p checkpoint.txt)" = "$origin" ] && [ -z "$(sed -n 4p checkpoint.txt)" ] ||
  fail checkpoint.txt "is no checkpoint with one signature"
# base64 of the key id is a prefix up to its last two bits: compare id and signature as one
octal=$(for b in $(echo "$id" | sed 's/../0x& /g'); do printf '\\%o%o%o' $((b / 64)) $((b / 8 % 8)) $((b % 8)); done)
[ "$({ printf "$octal"; cat "$tmp/sig"; } | openssl base64 -A)" = "$line" ] || fail checkpoint.txt "does not name the log key"
openssl pkeyutl -verify -rawin -pubin -inkey keys/log.pub.pem -in "$tmp/text" -sigfile "$tmp/sig" > "$tmp/out" 2>&1 ||
  fail checkpoint.txt "is not signed by the log key"
size=$(sed -nE '2s/^(0|[1-9][0-9]*)$/\1/p' checkpoint.txt)
root=$(sed -n 3p checkpoint.txt)
[ -n "$size" ] || { fail checkpoint.txt "has no size"; size=0; }
say "size and root are signed by the log key, twice"

# 4 each entry: its form, the chain, its place in the tree
# the value reached so far lies in the file h, the next one is made in i
up() { openssl dgst -sha256 -binary > "$tmp/i"; mv "$tmp/i" "$tmp/h"; }
included() { # entry proof index: RFC 9162 section 2.1.3.2
  { printf '\000'; cat "$1"; } | up
  at=$3; last=$((size - 1))
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
  [ "$last" -eq 0 ] && [ "$(openssl base64 -A < "$tmp/h")" = "$root" ]
}
form='^{"v":1,"log":"[A-Za-z0-9._/:-]*","idx":[0-9]*,"stream":"[A-Za-z0-9._-]*","n":[0-9]*,"prev":"'$x64'",'
form=$form'"ts":"[0-9]\{4\}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]\.[0-9]\{6\}Z","type":"[a-z0-9.-]*",'
form=$form'"nonce":"[A-Za-z0-9_-]\{22\}","body":{.*}}$'
parts() { # idx stream n prev ts type; none of them has a space
  sed -n '1s/^{"v":1,"log":"[^"]*","idx":\([0-9]*\),"stream":"\([^"]*\)","n":\([0-9]*\),"prev":"\([0-9a-f]*\)","ts":"\([^"]*\)","type":"\([^"]*\)".*/\1 \2 \3 \4 \5 \6/p' "$1"
}
n=0; prev=$zero; next=0; stream=; last_file=
: > "$tmp/rows"
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
    included "$f" "$p" "$idx" || fail "$p" "does not lead from $f to the root"
  fi
  echo "{\"n\":$n,\"idx\":$idx,\"ts\":\"$ts\",\"type\":\"$type\",\"sha256\":\"$own\"}" >> "$tmp/rows"
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

# 5 fields: shown, erased or withheld. A quote inside a string is escaped, so these patterns match members only.
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

# 6 rules and attachments: named by their sum, and by an entry
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

# 7 the index says the same
member() { grep -qxF "\"$1\":$2," bundle.json || fail bundle.json "\`$1\` does not agree with the files"; }
member format '"breachclock-bundle-v1"'
member origin "\"$origin\""
member stream "\"$stream\""
member tree_size "$size"
member root "\"$root\""
member generated_at "\"$ts\""
member anchors '[]'
profile=$(sed -nE 's#.*"body":\{"actor":'"$text"',"profile":('"$text"'),"entries":.*#\2#p' "$last_file")
member profile "$profile"
block() { # name: the lines of a list, without commas
  sed -n "/^\"$1\":\\[\$/,/^\\]/p" bundle.json | sed '1d;$d;s/,$//'
}
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
echo "not shown: that statements were true when written; how old entries are (no time stamp was configured);"
echo "that nobody was shown another log. Compare the fingerprints above with those published elsewhere."
