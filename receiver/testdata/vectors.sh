#!/bin/sh
# Makes known answers with the openssl command and nothing of ours: content sealed as Microsoft Graph seals it.
#
#   cd receiver/testdata
#   ./vectors.sh > vectors.openssl.json
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# plaintext N: the first N bytes of SHA-256 of 0, 1, 2, … one after the other.
plaintext() {
  i=0
  while [ $((i * 32)) -lt "$1" ]; do
    printf '%s' "$i" | openssl dgst -sha256 -binary
    i=$((i + 1))
  done | head -c "$1"
}

comma=
echo '['
for bits in 2048 3072 4096; do
  for size in 0 1 15 16 17 31 32 1000; do
    key=$(openssl rand -hex 32)
    printf '%s' "$key" | xxd -r -p > "$tmp/key"
    plaintext "$size" | openssl enc -aes-256-cbc -K "$key" -iv "$(printf '%.32s' "$key")" > "$tmp/data"
    openssl pkeyutl -encrypt -certin -inkey "keys/$bits.cert.pem" -in "$tmp/key" -out "$tmp/dataKey" \
      -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1 -pkeyopt rsa_mgf1_md:sha1
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary "$tmp/data" > "$tmp/signature"
    thumbprint=$(openssl x509 -in "keys/$bits.cert.pem" -noout -fingerprint -sha1 | sed 's/.*=//; s/://g')
    printf '%s{"bits":%s,"size":%s,"content":{"data":"%s","dataSignature":"%s","dataKey":"%s","encryptionCertificateId":"%s","encryptionCertificateThumbprint":"%s"}}\n' \
      "$comma" "$bits" "$size" "$(base64 -w0 "$tmp/data")" "$(base64 -w0 "$tmp/signature")" "$(base64 -w0 "$tmp/dataKey")" \
      "$bits" "$thumbprint"
    comma=,
  done
done
echo ']'
