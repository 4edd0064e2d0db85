"""From bytes to arrays: headers before decoding, images, masks, records, and no link out of the folder."""
