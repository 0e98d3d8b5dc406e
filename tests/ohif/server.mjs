// Serves the viewer's built pages, and Orthanc's DICOMweb under the same origin.
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { extname, join, normalize } from 'node:path';

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.ttf': 'font/ttf',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
};

const CONFIGURATION = {
  routerBasename: '/',
  extensions: [],
  modes: [],
  showStudyList: true,
  showLoadingIndicator: true,
  showWarningMessageForCrossOrigin: false,
  strictZSpacingForVolumeViewport: true,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'orthanc',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'orthanc',
      configuration: {
        friendlyName: 'Orthanc',
        name: 'orthanc',
        wadoUriRoot: '/wado',
        qidoRoot: '/dicom-web',
        wadoRoot: '/dicom-web',
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        qidoSupportsIncludeField: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        dicomUploadEnabled: false,
        omitQuotationForMultipartRequest: true,
        bulkDataURI: { enabled: true, relativeResolution: 'studies' },
      },
    },
  ],
};

/** Listens on a free port of the loopback interface. Returns its address and how to end it. */
export async function serve(pages, orthancPort) {
  const server = createServer((incoming, outgoing) => {
    const path = new URL(incoming.url, 'http://localhost').pathname;
    if (path.startsWith('/dicom-web/')) {
      forward(incoming, outgoing, orthancPort);
    } else if (path === '/app-config.js') {
      answer(outgoing, '.js', `window.config = ${JSON.stringify(CONFIGURATION)};`);
    } else {
      page(pages, path, outgoing);
    }
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function forward(incoming, outgoing, port) {
  const options = { host: '127.0.0.1', port, path: incoming.url, method: incoming.method };
  // Orthanc makes addresses of what stands here; they have to lead back to this server.
  options.headers = incoming.headers;
  const onward = request(options, reply => {
    outgoing.writeHead(reply.statusCode, reply.headers);
    reply.pipe(outgoing);
  });
  onward.on('error', error => answer(outgoing, '.json', JSON.stringify({ error: error.message }), 502));
  incoming.pipe(onward);
}

/** Answers with a file; a path without an extension is one of the viewer's own routes (single-page application). */
async function page(pages, path, outgoing) {
  const name = extname(path) ? normalize(path) : 'index.html';
  try {
    answer(outgoing, extname(name), await readFile(join(pages, name)));
  } catch (error) {
    answer(outgoing, '.json', JSON.stringify({ error: error.code }), 404);
  }
}

function answer(outgoing, extension, body, status = 200) {
  outgoing.writeHead(status, { 'Content-Type': TYPES[extension] ?? 'application/octet-stream' });
  outgoing.end(body);
}
