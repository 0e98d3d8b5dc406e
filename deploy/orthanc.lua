-- Auto-routing: every mammography series goes to the node. Results have other modalities, so nothing goes in circles.
-- It runs as a job in Orthanc (/jobs). A job that failed because the node was down has to be resubmitted by hand.
function OnStableSeries(seriesId, tags, metadata)
  if tags['Modality'] == 'MG' then
    RestApiPost('/modalities/ftmtl/store', '{"Resources": ["' .. seriesId .. '"], "Synchronous": false}')
  end
end
