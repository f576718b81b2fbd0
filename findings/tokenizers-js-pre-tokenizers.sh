#!/usr/bin/env bash
# @huggingface/tokenizers 0.2.0 (npm) beside Tokenizers.DotNet 1.4.1 (the Rust library): one tokenizer.json, two pre-tokenizers.
# One would guess: the same ids, or an error that names what the JavaScript library does not know; the file is the common format of both.
# What happens: Split with the behaviour MergedWithPrevious or MergedWithNext is done as Isolated (the separator becomes a token of its
#   own), and Metaspace with "split": true does not split, so that merges run across the borders of words. No warning.
# Why it matters: ids made in a browser or in Node are not a reference for a tokenizer.json just because the file loads. Families whose
#   tokenizers split otherwise (CLIP, Qwen: Isolated and Removed) are not touched.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
npm init -y > /dev/null; npm install --silent --no-audit --no-fund --ignore-scripts @huggingface/tokenizers@0.2.0 >&2
cat > p.mjs <<'E'
import fs from 'fs';
import { Tokenizer } from '@huggingface/tokenizers';
const file = (name, text, pieces, merges, pre_tokenizer) => {
  const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
  const json = { version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: null,
    pre_tokenizer, post_processor: null, decoder: null,
    model: { type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false,
      byte_fallback: false, ignore_merges: false, vocab, merges } };
  fs.mkdirSync(name); fs.writeFileSync(name + '/tokenizer.json', JSON.stringify(json)); fs.writeFileSync(name + '/text', text);
  const ids = new Tokenizer(json, {}).encode(text).ids.map(Number);
  fs.writeFileSync(name + '/js', ids.join(' '));
};
const split = behavior => ({ type: 'Split', pattern: { String: '-' }, behavior, invert: false });
const pieces = ['<unk>', 'a', 'b', '-', 'a-', '-b'], merges = [['a', '-'], ['-', 'b']];
file('isolated', 'a-b', pieces, merges, split('Isolated'));
file('merged-with-previous', 'a-b', pieces, merges, split('MergedWithPrevious'));
file('merged-with-next', 'a-b', pieces, merges, split('MergedWithNext'));
const words = ['<unk>', '▁', 'a', 'b', 'a▁', '▁b', '▁a'];
file('metaspace', 'a b', words, [['a', '▁'], ['▁', 'b'], ['▁', 'a']],
  { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true });
E
node p.mjs
cat > p.csproj <<'E'
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework><ImplicitUsings>enable</ImplicitUsings>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="Tokenizers.DotNet" Version="[1.4.1]" />
    <PackageReference Include="Tokenizers.DotNet.runtime.linux-x64" Version="[1.4.1]" />
  </ItemGroup>
</Project>
E
cat > Program.cs <<'E'
Console.WriteLine("@huggingface/tokenizers 0.2.0, Tokenizers.DotNet 1.4.1");
bool still = true;
foreach (var name in new[] { "isolated", "merged-with-previous", "merged-with-next", "metaspace" })
{
    using var tokenizer = new Tokenizers.DotNet.Tokenizer(vocabPath: $"{name}/tokenizer.json");
    string rust = string.Join(" ", tokenizer.Encode(File.ReadAllText($"{name}/text"))), js = File.ReadAllText($"{name}/js");
    Console.WriteLine($"{name}: \"{File.ReadAllText($"{name}/text")}\" -> JavaScript {js}, Rust {rust}");
    still &= js == rust == (name == "isolated");
}
return still ? 0 : 1;
E
nice -n 5 dotnet build -c Release -o out -v q -clp:ErrorsOnly -nologo >&2
dotnet out/p.dll
