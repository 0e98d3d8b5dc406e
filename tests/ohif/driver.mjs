// Opens studies in the viewer as a user would, and takes a picture of each series.
//
//   node driver.mjs plan.json
//
// The plan: {modules, chromium, orthanc (HTTP port), profile, pictures (folders), studies: [{uid, steps: [
// {name, series (a part of its description), hydrate, outlines}]}]}. Written to standard output, as JSON:
// {steps: {name: {viewport: {x, y, width, height}, texts, unopened}}, complaints: [...], reopened: [name, ...]};
// unopened is what the viewport shows without having taken it over as its own, for changes; reopened are the steps
// whose outlines, so many as the plan says, were not there at first.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

import { serve } from './server.mjs';

const SWITCHES = [
  '--no-sandbox',
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--ignore-gpu-blocklist',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const WINDOW = { width: 1280, height: 800 };
const PATIENCE_MS = 90_000;
const OUTLINES_MS = 15_000;

const plan = JSON.parse(await readFile(process.argv[2], 'utf8'));
const modules = resolve(plan.modules);
const { chromium } = createRequire(join(modules, 'package.json'))('playwright-core');

const server = await serve(join(modules, '@ohif/app/dist'), plan.orthanc);
const browser = await chromium.launchPersistentContext(plan.profile, {
  executablePath: plan.chromium,
  headless: true,
  viewport: WINDOW,
  args: SWITCHES,
});
browser.setDefaultTimeout(PATIENCE_MS);
const report = { steps: {}, complaints: [], reopened: [] };
try {
  for (const study of plan.studies) {
    await openStudy(study);
  }
} finally {
  await browser.close();
  server.close();
}
process.stdout.write(JSON.stringify(report));

async function openStudy(study) {
  const page = await browser.newPage();
  listen(page);
  await page.addLocatorHandler(page.getByText('Skip all'), tour => tour.click());
  await page.goto(`${server.url}/viewer?StudyInstanceUIDs=${study.uid}`);
  await loaded(page);
  for (const step of study.steps) {
    await openSeries(page, step);
    if (!(await outlined(page, step))) {
      // Seen once, on a busy machine: the first report that a new viewer opens stays undrawn.
      report.reopened.push(step.name);
      await page.reload();
      await loaded(page);
      await openSeries(page, step);
    }
    report.steps[step.name] = await picture(page, step.name);
  }
  await page.close();
}

async function loaded(page) {
  await page.waitForSelector('canvas.cornerstone-canvas');
  await page.waitForLoadState('networkidle');
}

function listen(page) {
  page.on('console', message => {
    if (message.type() === 'error' || message.text().includes('Error Boundary')) {
      report.complaints.push(`console: ${message.text()}`);
    }
  });
  page.on('pageerror', error => report.complaints.push(`page: ${error.message}`));
  page.on('response', response => {
    if (response.status() >= 400) {
      report.complaints.push(`${response.status()} ${response.url()}`);
    }
  });
}

/** Opens a series; OHIF offers to load segmentations, and shows outlines at once: it can edit none but rectangles. */
async function openSeries(page, step) {
  const thumbnail = page.locator('[data-cy^=study-browser-thumbnail]', { hasText: step.series });
  await thumbnail.dblclick();
  if (step.hydrate) {
    await page.locator('[data-cy=yes-hydrate-btn]').click();
    await page.locator('[data-cy^=ModalityLoadBadge]').waitFor({ state: 'detached' });
  }
}

/** Tells whether as many outlines as a step has come up in time. */
async function outlined(page, step) {
  try {
    await page.waitForFunction(
      count => document.querySelectorAll('svg.svg-layer polyline').length >= count,
      step.outlines,
      { timeout: OUTLINES_MS },
    );
    return true;
  } catch (error) {
    if (error.name !== 'TimeoutError') {
      throw error;
    }
    return false;
  }
}

/** Waits until nothing has moved for two seconds, and saves what the window shows. */
async function picture(page, name) {
  const path = join(plan.pictures, `${name}.png`);
  const deadline = Date.now() + PATIENCE_MS;
  let before = await page.screenshot({ path });
  for (let still = 0; still < 4; ) {
    if (Date.now() > deadline) {
      throw new Error(`${name} does not come to rest`);
    }
    await page.waitForTimeout(500);
    const now = await page.screenshot({ path });
    still = now.equals(before) ? still + 1 : 0;
    before = now;
  }
  return {
    viewport: await page.locator('canvas.cornerstone-canvas').boundingBox(),
    texts: (await page.locator('body').innerText()).split('\n'),
    unopened: await page.locator('[data-cy^=ModalityLoadBadge]').allInnerTexts(),
  };
}
