/** A small service for tests: one policy, one secret, two capabilities. */
export const widgetPolicy = (origin: string): string => `service: widgets
title: Widgets
description: Things to count.
origin: ${origin}
credential: { scheme: bearer, secret: WIDGETS_KEY }
capabilities:
  list:
    title: List the widgets
    allow: GET /v1/widgets
  break:
    title: Break a widget
    allow: DELETE /v1/widgets/{id}
`;

export const WIDGETS_KEY = 'wk_canary_5b1f0c9e7a';
