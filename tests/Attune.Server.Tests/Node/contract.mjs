// The official OpenAI client for Node against a started server: node contract.mjs FOLDER-OF-PACKAGES ADDRESS ADDRESS-OF-A-SMALL-QUEUE.
// Says each check that holds, and ends with 1 at the first that does not.
import assert from 'node:assert/strict';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [packages, address, small] = process.argv.slice(2);
const { default: OpenAI, toFile } = await import(pathToFileURL(path.join(packages, 'node_modules', 'openai', 'index.mjs')));
const client = new OpenAI({ apiKey: 'key', baseURL: `${address}/v1`, maxRetries: 0 });
const quick = { prompt: 'a red cat', size: '32x32', steps: 1, seed: 7, max_sequence_length: 16 };
const png = text => {
  const bytes = Buffer.from(text, 'base64');
  assert.deepEqual([...bytes.subarray(0, 8)], [137, 80, 78, 71, 13, 10, 26, 10]);
  return bytes;
};

const checks = {
  async 'it generates, and unknown fields pass through'() {
    const { data: answer, request_id } = await client.images.generate({ ...quick, n: 2, negative_prompt: 'sunglasses' }).withResponse();
    assert.match(request_id, /^[0-9a-z]{26}$/);
    assert.equal(answer.data.length, 2);
    assert.deepEqual(answer.data.map(image => image.seed), [7, 8]);
    assert.notDeepEqual(png(answer.data[0].b64_json), png(answer.data[1].b64_json));
    assert.equal(answer.size, '32x32');
    assert.equal(answer.output_format, 'png');
    assert.ok(Number.isInteger(answer.created));
    assert.equal(answer.usage.total_tokens, answer.usage.input_tokens);
    assert.equal(answer.attune.parameters.negative_prompt, 'sunglasses');
    const link = await client.images.generate({ ...quick, seed: 8, negative_prompt: 'sunglasses', response_format: 'url' });
    const file = Buffer.from(await (await fetch(link.data[0].url)).arrayBuffer());
    assert.deepEqual(file, png(answer.data[1].b64_json));
  },

  async 'it edits one picture, and a picture in a list'() {
    const made = await client.images.generate({ prompt: 'a cat', size: '32x32', steps: 1, seed: 1, model: 'sd15' });
    const image = await toFile(png(made.data[0].b64_json), 'cat.png', { type: 'image/png' });
    const asked = { model: 'sd15', prompt: 'a red cat', size: '32x32', steps: 2, seed: 7, strength: 0.5 };
    const one = await client.images.edit({ ...asked, image });
    const list = await client.images.edit({ ...asked, image: [image] });
    assert.deepEqual(png(one.data[0].b64_json), png(list.data[0].b64_json));
    await assert.rejects(
      client.images.edit({ ...asked, image: [image, image] }),
      error => error instanceof OpenAI.BadRequestError && /takes one/.test(error.message));
    await assert.rejects(
      client.images.edit({ ...asked, image: await toFile(Buffer.from('no picture'), 'cat.png', { type: 'image/png' }) }),
      error => error instanceof OpenAI.BadRequestError && error.param === 'image' && error.code === 'invalid_value');
  },

  async 'it streams partial pictures, then each picture'() {
    const stream = await client.images.generate({ ...quick, steps: 4, n: 2, stream: true, partial_images: 2 });
    const events = [];
    for await (const event of stream)
      events.push(event);
    const short = events.map(event => event.type.replace('image_generation.', ''));
    assert.deepEqual(short, [...'ppcppc'].map(letter => letter === 'p' ? 'partial_image' : 'completed'));
    assert.deepEqual(events.map(event => event.image_index), [0, 0, 0, 1, 1, 1]);
    assert.deepEqual(events.filter(event => 'partial_image_index' in event).map(event => event.partial_image_index), [0, 1, 0, 1]);
    const whole = await client.images.generate({ ...quick, steps: 4, n: 2 });
    assert.deepEqual(png(events[5].b64_json), png(whole.data[1].b64_json));
    assert.ok(events[5].usage.total_tokens > 0);
  },

  async 'it streams an edit'() {
    const made = await client.images.generate({ prompt: 'a cat', size: '32x32', steps: 1, seed: 1, model: 'sd15' });
    const image = await toFile(png(made.data[0].b64_json), 'cat.png', { type: 'image/png' });
    const stream = await client.images.edit(
      { model: 'sd15', prompt: 'a red cat', size: '32x32', steps: 3, strength: 1, seed: 7, image, stream: true, partial_images: 1 });
    const types = [];
    for await (const event of stream)
      types.push(event.type);
    assert.deepEqual(types, ['image_edit.partial_image', 'image_edit.completed']);
  },

  async 'errors are those of their kinds, with message, param and code'() {
    for (const [asked, kind, status, param, code] of [
      [{ ...quick, tau: 3 }, OpenAI.BadRequestError, 400, 'tau', 'unknown_parameter'],
      [{ ...quick, size: '33x33' }, OpenAI.BadRequestError, 400, 'size', 'invalid_value'],
      [{ ...quick, n: 11 }, OpenAI.BadRequestError, 400, 'n', 'integer_above_max_value'],
      [{ ...quick, prompt: undefined }, OpenAI.BadRequestError, 400, 'prompt', 'missing_required_parameter'],
      [{ ...quick, model: 'gpt-image-9' }, OpenAI.NotFoundError, 404, 'model', 'model_not_found'],
      [{ ...quick, stream: true, steps: 0 }, OpenAI.BadRequestError, 400, 'steps', 'invalid_value'],
    ]) {
      await assert.rejects(client.images.generate(asked), error => {
        assert.ok(error instanceof kind, `${error}`);
        assert.deepEqual([error.status, error.param, error.code], [status, param, code]);
        assert.ok(error.message.length > status.toString().length + 10 && error.requestID);
        return true;
      });
    }
  },

  async 'it lists models'() {
    const models = [];
    for await (const model of client.models.list())
      models.push(model.id);
    assert.deepEqual(models, ['flux-tiny-random', 'sd15']);
    assert.equal((await client.models.retrieve('sd15')).owned_by, 'attune');
    await assert.rejects(client.models.retrieve('x'), OpenAI.NotFoundError);
  },

  async 'a request that is given up is stopped'() {
    const controller = new AbortController();
    const given = client.images.generate({ ...quick, steps: 150, size: '256x256', n: 10 }, { signal: controller.signal });
    await until(async () => (await status(address)).running === 1);
    controller.abort();
    await assert.rejects(given, OpenAI.APIUserAbortError);
    await until(async () => (await status(address)).running === 0);
    const stream = await client.images.generate({ ...quick, steps: 150, size: '256x256', stream: true, partial_images: 3 });
    for await (const _ of stream)
      break;
    await until(async () => (await status(address)).running === 0);
    assert.equal((await client.images.generate(quick)).data.length, 1);
  },

  // One runs and one waits; the third is told when to come again, does, and is answered.
  async 'a full queue is tried again until there is room'() {
    const waits = [];
    const patient = new OpenAI({
      apiKey: 'key', baseURL: `${small}/v1`, maxRetries: 20,
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        if (response.status === 429 || response.status === 503)
          waits.push(response.headers.get('retry-after'));
        return response;
      },
    });
    const controller = new AbortController();
    const ask = seed => patient.images.generate(
      { ...quick, seed, steps: 150, size: '256x256' }, { signal: controller.signal, maxRetries: 0 }).catch(error => error);
    const slow = [ask(1)];
    await until(async () => (await status(small)).running === 1);
    slow.push(ask(2));
    await until(async () => (await status(small)).queue === 1);
    const third = patient.images.generate(quick);
    await until(() => waits.length > 0);
    controller.abort();
    assert.equal((await third).data.length, 1);
    for (const error of await Promise.all(slow))
      assert.ok(error instanceof OpenAI.APIUserAbortError, `${error}`);
    for (const wait of waits)
      assert.ok(Number.isInteger(+wait) && +wait >= 1 && +wait <= 60, wait);
  },
};

async function status(server) {
  return await (await fetch(`${server}/api/status`)).json();
}

async function until(condition) {
  for (let i = 0; i < 3000; i++) {
    if (await condition())
      return;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  assert.fail('It did not happen within a minute.');
}

for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`holds: ${name}`);
  } catch (error) {
    console.log(`does not hold: ${name}\n${error.stack}`);
    process.exit(1);
  }
}
